// SPDX-License-Identifier: Apache-2.0
#include "preload/environment.h"

#include <gtest/gtest.h>

namespace remora::shim {
namespace {

TEST(Environment, FindsWhatConcernsUs) {
    char* entries[] = {const_cast<char*>("PATH=/bin"),
                       const_cast<char*>("REMORA_SESSION=1:2:3:4:x"),
                       const_cast<char*>("TRACEPARENT=a"),
                       const_cast<char*>("TRACESTATE="),
                       const_cast<char*>("OTEL_TRACES_SAMPLER_ARG=0.5"),
                       const_cast<char*>("OTEL_TRACES_SAMPLER=traceidratio"),
                       const_cast<char*>("LD_PRELOAD=/x.so"),
                       nullptr};
    const Environment found = read_environment(entries);
    EXPECT_STREQ(found.session, "1:2:3:4:x");
    EXPECT_STREQ(found.traceparent, "a");
    EXPECT_STREQ(found.tracestate, "");
    EXPECT_STREQ(found.sampler, "traceidratio");
    EXPECT_STREQ(found.sampler_argument, "0.5");
    EXPECT_STREQ(found.preload, "/x.so");
    EXPECT_EQ(found.disable, nullptr);
    EXPECT_EQ(found.service_name, nullptr);
}

TEST(Environment, TheFirstOfEqualNamesCountsAndOddEntriesDoNoHarm) {
    char* entries[] = {const_cast<char*>(""),
                       const_cast<char*>("="),
                       const_cast<char*>("TRACEPARENT"),
                       const_cast<char*>("TRACEPARENTS=no"),
                       const_cast<char*>("TRACEPARENT=first"),
                       const_cast<char*>("TRACEPARENT=second"),
                       nullptr};
    EXPECT_STREQ(read_environment(entries).traceparent, "first");
    EXPECT_EQ(read_environment(nullptr).traceparent, nullptr);
}

TEST(Environment, Truth) {
    for (const char* yes : {"1", "true", "TRUE", "True"}) EXPECT_TRUE(is_true(yes)) << yes;
    for (const char* no : {"", "0", "11", "yes", "false", "truely", " 1"})
        EXPECT_FALSE(is_true(no)) << no;
    EXPECT_FALSE(is_true(nullptr));
}

}  // namespace
}  // namespace remora::shim
