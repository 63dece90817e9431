// SPDX-License-Identifier: Apache-2.0
// Columns of text for a terminal of any width, or for a pipe. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace remora {

struct TextColumn {
    std::string title;
    bool right = false;              // numbers
    size_t most = SIZE_MAX;          // columns of the screen; longer cells are cut
    std::vector<std::string> cells;  // printable; as many as the table has rows
};

// The last column takes what is left, broken into lines; where that is too little to be read, it
// stands below each row. Columns in which no cell says anything are left out. width 0: no limit.
std::string format_table(const std::vector<TextColumn>& columns, size_t width, bool unicode);

// Columns of the terminal behind the descriptor, however few; 0: it is none.
size_t terminal_width(int fd);

// Breaks at blanks; every line but the first begins with `indent` blanks, which the first is taken
// to have already. width 0: no limit.
std::string wrap_text(const std::string& text, size_t indent, size_t width);

}  // namespace remora
