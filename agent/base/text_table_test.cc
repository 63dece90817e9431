// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text_table.h"

#include <gtest/gtest.h>

namespace remora {
namespace {

std::vector<TextColumn> columns() {
    return {{"PID", true, SIZE_MAX, {"1", "4711"}},
            {"EMPTY", false, SIZE_MAX, {"", ""}},
            {"COMMAND", false, 8, {"short", "much too long"}},
            {"WHY", false, SIZE_MAX, {"", "because of something else"}}};
}

TEST(TextTable, AlignsAndCuts) {
    EXPECT_EQ(format_table(columns(), 0, false),
              " PID  COMMAND   WHY\n"
              "   1  short\n"
              "4711  much to~  because of something else\n");
}

TEST(TextTable, PutsTheLastColumnBelowWhereThereIsNoRoom) {
    EXPECT_EQ(format_table(columns(), 24, false),
              " PID  COMMAND\n"
              "   1  short\n"
              "4711  much to~\n"
              "    because of something\n"
              "    else\n");
}

TEST(TextTable, FitsAnyTerminal) {
    for (size_t width = 1; width < 60; ++width) {
        const std::string text = format_table(columns(), width, false);
        for (size_t at = 0; width > 14 && at < text.size();) {
            const size_t end = text.find('\n', at);
            EXPECT_LE(end - at, width) << text;
            at = end + 1;
        }
    }
}

TEST(TextTable, BreaksTheLastColumn) {
    std::vector<TextColumn> wide = columns();
    wide[3].cells[1] = "one two three four five six seven eight";
    EXPECT_EQ(format_table(wide, 48, false),
              " PID  COMMAND   WHY\n"
              "   1  short\n"
              "4711  much to~  one two three four five six\n"
              "                seven eight\n");
}

TEST(TextTable, CutsWordsThatNoLineCanHold) {
    std::vector<TextColumn> wide = columns();
    wide[3].cells[0] = std::string(100, 'x');
    const std::string text = format_table(wide, 20, false);
    EXPECT_NE(text.find("\n    xxxxxxxxxxxxxxx~\n"), std::string::npos) << text;
}

TEST(TextTable, OfNothing) { EXPECT_EQ(format_table({}, 0, false), ""); }

TEST(WrapText, BreaksAtBlanks) {
    EXPECT_EQ(wrap_text("one two three four", 2, 12), "one two\n  three four");
    EXPECT_EQ(wrap_text("one two", 2, 0), "one two");
    EXPECT_EQ(wrap_text("a-very-long-word-alone x", 2, 12), "a-very-long-word-alone\n  x");
    EXPECT_EQ(wrap_text("", 2, 12), "");
}

}  // namespace
}  // namespace remora
