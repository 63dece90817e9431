// SPDX-License-Identifier: Apache-2.0
#include "agent/base/utf8.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Utf8, LeavesWellFormedTextAlone) {
    for (const char* text : {"", "plain", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x90\x9f",
                             "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        EXPECT_TRUE(is_valid_utf8(text)) << text;
        EXPECT_EQ(sanitize_utf8(text), text);
    }
}

TEST(Utf8, RefusesOverlongSurrogateAndTooLarge) {
    for (const char* text :
         {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\x80", "\xe2\x82"}) {
        EXPECT_FALSE(is_valid_utf8(text));
        EXPECT_TRUE(is_valid_utf8(sanitize_utf8(text)));
    }
}

TEST(Utf8, ReplacesOneMaximalSubpartByOneCharacter) {
    EXPECT_EQ(sanitize_utf8("a\xe2\x82z"), "a\xef\xbf\xbdz");          // cut: one
    EXPECT_EQ(sanitize_utf8("\xe0\x9f"), "\xef\xbf\xbd\xef\xbf\xbd");  // overlong: one a byte
    EXPECT_EQ(sanitize_utf8("\xff"), "\xef\xbf\xbd");
}

TEST(Utf8, KeepsNulInside) {
    EXPECT_EQ(sanitize_utf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
}

TEST(Utf8, ClipsAtACharacter) {
    EXPECT_EQ(clip_utf8("abc", 3), "abc");
    EXPECT_EQ(clip_utf8("abc", 2), "ab");
    EXPECT_EQ(clip_utf8("a\xe2\x82\xac", 3), "a");
    EXPECT_EQ(clip_utf8("\xe2\x82\xac", 1), "");
}

}  // namespace
}  // namespace remora
