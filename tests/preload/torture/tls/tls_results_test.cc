// SPDX-License-Identifier: Apache-2.0
// Results, errno, error queue and state of odd calls on OpenSSL: the same bare and under the shim.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/preload/torture/support/traced_run.h"
#include "tests/preload/torture/tls/tls_tunnel.h"

namespace torture {
namespace {

std::vector<std::string> lines_of(const std::string& certificates, bool traced) {
    const std::string name = certificates + (traced ? "/traced" : "/bare");
    TracedRun run(
        {"/bin/sh", "-c", "exec " + beside("tls_results_actor") + " " + certificates + " >" + name},
        traced);
    const Outcome outcome = run.wait();
    EXPECT_TRUE(outcome.succeeded()) << outcome.error_text;
    std::vector<std::string> lines;
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
}

TEST(TlsResults, AreTheSameUnderTheShim) {
    const std::string certificates = make_certificates();
    if (certificates.empty()) GTEST_SKIP() << "needs openssl(1)";
    const std::vector<std::string> bare = lines_of(certificates, false);
    const std::vector<std::string> traced = lines_of(certificates, true);
    (void)!system(("rm -rf " + certificates).c_str());
    unsigned differences = 0;
    for (size_t i = 0; i < bare.size() && i < traced.size() && differences < 20; ++i) {
        differences += bare[i] != traced[i];
        EXPECT_EQ(bare[i], traced[i]);
    }
    EXPECT_EQ(bare.size(), traced.size());
    EXPECT_GT(bare.size(), 700u);
    printf("%zu calls compared\n", bare.size());
}

}  // namespace
}  // namespace torture
