// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text_table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/printable.h"

namespace remora {

namespace {

constexpr size_t gap = 2;
constexpr size_t readable = 30;  // the least that a last column needs beside the others
constexpr size_t indent_below = 4;

bool says_something(const TextColumn& column) {
    return std::any_of(column.cells.begin(), column.cells.end(),
                       [](const std::string& cell) { return !cell.empty(); });
}

size_t natural_width(const TextColumn& column) {
    size_t width = display_width(column.title);
    for (const std::string& cell : column.cells) width = std::max(width, display_width(cell));
    return std::min(width, column.most);
}

std::string padded(const std::string& text, size_t width, bool right) {
    const std::string blanks(width - std::min(width, display_width(text)), ' ');
    return right ? blanks + text : text + blanks;
}

// Without blanks at its end, cut to the terminal.
void add_line(std::string line, size_t width, bool unicode, std::string& out) {
    line.erase(line.find_last_not_of(' ') + 1);
    out += width == 0 ? line : clip_columns(line, width, unicode);
    out += '\n';
}

void add_lines(const std::string& text, size_t width, bool unicode, std::string& out) {
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        add_line(text.substr(at, end - at), width, unicode, out);
        at = end + 1;
    }
}

}  // namespace

size_t terminal_width(int fd) {
    winsize size{};
    if (::isatty(fd) != 1 || ::ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

std::string format_table(const std::vector<TextColumn>& all, size_t width, bool unicode) {
    std::vector<TextColumn> columns;
    std::copy_if(all.begin(), all.end(), std::back_inserter(columns), says_something);
    if (columns.empty()) return {};
    const TextColumn last = std::move(columns.back());
    columns.pop_back();
    std::vector<size_t> widths;
    size_t before = 0;
    for (const TextColumn& column : columns) {
        widths.push_back(natural_width(column));
        before += widths.back() + gap;
    }
    const bool below = width != 0 && before + readable > width;
    const auto row = [&](const auto& cell_of) {
        std::string line;
        for (size_t i = 0; i < columns.size(); ++i)
            line += padded(clip_columns(cell_of(columns[i]), widths[i], unicode), widths[i],
                           columns[i].right) +
                    std::string(gap, ' ');
        return line;
    };
    std::string out;
    const auto title = [](const TextColumn& column) { return column.title; };
    add_line(row(title) + (below ? "" : last.title), width, unicode, out);
    for (size_t i = 0; i < last.cells.size(); ++i) {
        const auto cell = [i](const TextColumn& column) { return column.cells[i]; };
        if (below) add_line(row(cell), width, unicode, out);
        if (below && last.cells[i].empty()) continue;
        const size_t indent = below ? indent_below : before;
        add_lines((below ? std::string(indent, ' ') : row(cell)) +
                      wrap_text(last.cells[i], indent, width),
                  width, unicode, out);
    }
    return out;
}

std::string wrap_text(const std::string& text, size_t indent, size_t width) {
    const size_t room = width > indent + 8 ? width - indent : 0;
    std::string out;
    size_t column = 0;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(' ', at), text.size());
        const std::string word = text.substr(at, end - at);
        const size_t size = display_width(word);
        if (column != 0 && room != 0 && column + 1 + size > room) {
            out += '\n' + std::string(indent, ' ');
            column = 0;
        }
        if (column != 0) out += ' ', ++column;
        out += word;
        column += size;
        at = end + 1;
    }
    return out;
}

}  // namespace remora
