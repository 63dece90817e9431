// SPDX-License-Identifier: Apache-2.0
#include "agent/base/printable.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

TEST(Printable, LeavesHarmlessTextAlone) {
    EXPECT_EQ(printable("GET /a b"), "GET /a b");
    EXPECT_EQ(printable("Grüße 日本 🐟"), "Grüße 日本 🐟");
}

TEST(Printable, NeutralisesWhatSteersATerminal) {
    EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1b[31mb");
    EXPECT_EQ(printable("a\nb\r\tc\x7f"), "a\\nb\\r\\tc\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"), "\\x9b");  // C1: the one-character CSI
    EXPECT_EQ(printable("\xe2\x80\xae"
                        "gpj.exe"),
              "\\u202egpj.exe");
    EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
    EXPECT_EQ(printable("\xff\x9b"), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Printable, AsciiOnlyOnRequest) { EXPECT_EQ(printable("Grüße\xff", false), "Gr??e?"); }

TEST(Printable, CountsColumns) {
    EXPECT_EQ(display_width("abc"), 3u);
    EXPECT_EQ(display_width("日本"), 4u);
    EXPECT_EQ(display_width("e\xcc\x81"), 1u);  // combining acute
}

TEST(Printable, ClipsToColumns) {
    EXPECT_EQ(clip_columns("abcdef", 6), "abcdef");
    EXPECT_EQ(clip_columns("abcdef", 4), "abc…");
    EXPECT_EQ(clip_columns("abcdef", 4, false), "abc~");
    EXPECT_EQ(clip_columns("日本語", 4), "日…");
    EXPECT_EQ(clip_columns("abc", 0), "");
}

}  // namespace
}  // namespace remora
