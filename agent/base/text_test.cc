// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Text, TrimsBlanksOnly) {
    EXPECT_EQ(trim_text(" \ta b\t "), "a b");
    EXPECT_EQ(trim_text(" \t"), "");
    EXPECT_EQ(trim_text("a\n"), "a\n");
}

TEST(Text, SplitsAndLeavesEmptyPartsOut) {
    EXPECT_THAT(split_list("a, b ,,c,", ','), ElementsAre("a", "b", "c"));
    EXPECT_THAT(split_list(" , ,", ','), IsEmpty());
}

TEST(Text, DecodesPercent) {
    std::string out;
    EXPECT_TRUE(percent_decode("a%2Cb%3d%25", out));
    EXPECT_EQ(out, "a,b=%");
}

TEST(Text, RefusesABadPercent) {
    for (const char* text : {"%", "%2", "a%2", "%zz", "%2g", "%-1"}) {
        std::string out;
        EXPECT_FALSE(percent_decode(text, out)) << text;
    }
}

TEST(Text, ComparesIgnoringCase) {
    EXPECT_TRUE(equals_ignoring_case("TrUe", "true"));
    EXPECT_FALSE(equals_ignoring_case("true ", "true"));
}

}  // namespace
}  // namespace remora
