// SPDX-License-Identifier: Apache-2.0
#include "agent/base/printable.h"

#include <cstdint>
#include <cstdio>

#include "agent/base/utf8.h"

namespace remora {
namespace {

struct Range {
    char32_t first, last;
};

// text[offset] starts a well-formed character of `size` bytes.
char32_t decode(std::string_view text, size_t offset, size_t size) {
    auto byte = [&](size_t i) { return static_cast<uint8_t>(text[offset + i]); };
    if (size == 1) return byte(0);
    char32_t value = byte(0) & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; ++i) value = value << 6 | (byte(i) & 0x3fu);
    return value;
}

template <size_t N>
bool is_in(char32_t c, const Range (&ranges)[N]) {
    for (const Range& range : ranges)
        if (c >= range.first && c <= range.last) return true;
    return false;
}

bool steers_display(char32_t c) {
    constexpr Range ranges[] = {
        {0x0000, 0x001f},   {0x007f, 0x009f},                    // C0, DEL, C1
        {0x061c, 0x061c},   {0x200b, 0x200f}, {0x2028, 0x202e},  // marks, separators, overrides
        {0x2060, 0x206f},   {0xfeff, 0xfeff}, {0xfff9, 0xfffb},  // isolates, BOM, annotation
        {0xe0000, 0xe007f},                                      // tags
    };
    return is_in(c, ranges);
}

// The blocks that matter in names and paths; not the whole of Unicode's width tables.
size_t columns_of(char32_t c) {
    constexpr Range combining[] = {{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd},
                                   {0x064b, 0x065f}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
                                   {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    constexpr Range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},
                              {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
                              {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
                              {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}};
    if (c < 0x300) return 1;
    if (is_in(c, combining)) return 0;
    return is_in(c, wide) ? 2 : 1;
}

void append_escape(char32_t c, std::string& out) {
    char text[16];
    const auto code = static_cast<unsigned>(c);
    if (c == '\n') {
        out += "\\n";
    } else if (c == '\r') {
        out += "\\r";
    } else if (c == '\t') {
        out += "\\t";
    } else {
        snprintf(text, sizeof(text), c < 0x100 ? "\\x%02x" : "\\u%04x", code);
        out += text;
    }
}

}  // namespace

std::string printable(std::string_view text, bool unicode) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
        const size_t size = utf8_character_size(text, i);
        if (size == 0) {
            out += unicode ? "\xef\xbf\xbd" : "?";
            ++i;
            continue;
        }
        const char32_t c = decode(text, i, size);
        if (steers_display(c)) {
            append_escape(c, out);
        } else if (c >= 0x80 && !unicode) {
            out += '?';
        } else {
            out += text.substr(i, size);
        }
        i += size;
    }
    return out;
}

size_t display_width(std::string_view text) {
    size_t columns = 0;
    for (size_t i = 0; i < text.size();) {
        const size_t size = utf8_character_size(text, i);
        columns += size == 0 ? 1 : columns_of(decode(text, i, size));
        i += size == 0 ? 1 : size;
    }
    return columns;
}

std::string clip_columns(std::string_view text, size_t columns, bool unicode) {
    if (display_width(text) <= columns) return std::string(text);
    if (columns == 0) return {};
    std::string out;
    size_t used = 1;  // the ellipsis
    for (size_t i = 0; i < text.size();) {
        const size_t size = utf8_character_size(text, i);
        const size_t width = size == 0 ? 1 : columns_of(decode(text, i, size));
        if (used + width > columns) break;
        used += width;
        out += text.substr(i, size == 0 ? 1 : size);
        i += size == 0 ? 1 : size;
    }
    return out + (unicode ? "…" : "~");
}

}  // namespace remora
