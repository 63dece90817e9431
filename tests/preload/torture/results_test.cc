// SPDX-License-Identifier: Apache-2.0
// Return values, errno and signals of odd calls: the same bare and under the shim.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

std::vector<std::string> lines_of(bool traced) {
    char name[] = "/tmp/remora-results-XXXXXX";
    close(mkstemp(name));
    TracedRun run({"/bin/sh", "-c", "exec " + beside("results_actor") + " >" + name}, traced);
    const Outcome outcome = run.wait();
    EXPECT_TRUE(outcome.succeeded()) << outcome.error_text;
    std::vector<std::string> lines;
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    unlink(name);
    return lines;
}

TEST(Results, AreTheSameUnderTheShim) {
    const std::vector<std::string> bare = lines_of(false);
    const std::vector<std::string> traced = lines_of(true);
    unsigned differences = 0;
    for (size_t i = 0; i < bare.size() && i < traced.size() && differences < 20; ++i) {
        differences += bare[i] != traced[i];
        EXPECT_EQ(bare[i], traced[i]);
    }
    EXPECT_EQ(bare.size(), traced.size());
    EXPECT_GT(bare.size(), 1500u);
    printf("%zu calls compared\n", bare.size());
}

}  // namespace
}  // namespace torture
