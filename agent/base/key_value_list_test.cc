// SPDX-License-Identifier: Apache-2.0
#include "agent/base/key_value_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST(KeyValueList, ReadsAList) {
    const auto parsed =
        parse_key_value_list(" service.name = shop ,k%2C=a%2Cb%3Dc,empty=,, with=x=y,k%2C=2");
    ASSERT_TRUE(parsed);
    EXPECT_THAT(*parsed, ElementsAre(Pair("service.name", "shop"), Pair("k,", "2"),
                                     Pair("empty", ""), Pair("with", "x=y")));
}

TEST(KeyValueList, OneBadEntryDiscardsAll) {
    for (const char* text : {"good=1,bad", "good=1,=v", "good=1,k=%", "good=1,k=%4", "good=1,k=%zz",
                             "good=1,k=%ff", "%=v"}) {
        const auto parsed = parse_key_value_list(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_THAT(parsed.error().text(), HasSubstr("entry \""));
    }
    EXPECT_THAT(*parse_key_value_list(""), IsEmpty());
}

}  // namespace
}  // namespace remora
