// SPDX-License-Identifier: Apache-2.0
#include "agent/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace remora {
namespace {

struct Scan {
    size_t size;  // bytes looked at that belong together
    bool well_formed;
};

// The bounds of the second byte exclude overlong forms, surrogates and what is above U+10FFFF.
Scan scan(std::string_view text, size_t offset) noexcept {
    auto byte = [&](size_t i) { return static_cast<uint8_t>(text[offset + i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return {1, true};
    if (lead < 0xc2 || lead > 0xf4) return {1, false};
    const size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint8_t low = 0x80, high = 0xbf;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    for (size_t i = 1; i < size; ++i) {
        if (offset + i >= text.size() || byte(i) < low || byte(i) > high) return {i, false};
        low = 0x80;
        high = 0xbf;
    }
    return {size, true};
}

}  // namespace

size_t utf8_character_size(std::string_view text, size_t offset) noexcept {
    if (offset >= text.size()) return 0;
    const Scan found = scan(text, offset);
    return found.well_formed ? found.size : 0;
}

bool is_valid_utf8(std::string_view text) noexcept {
    for (size_t i = 0; i < text.size();) {
        // Eight ASCII bytes at a time: nearly all that comes is ASCII.
        uint64_t word;
        if (i + sizeof(word) <= text.size()) {
            std::memcpy(&word, text.data() + i, sizeof(word));
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        const Scan found = scan(text, i);
        if (!found.well_formed) return false;
        i += found.size;
    }
    return true;
}

std::string sanitize_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
        const Scan found = scan(text, i);
        out.append(found.well_formed ? text.substr(i, found.size) : "\xef\xbf\xbd");
        i += found.size;
    }
    return out;
}

std::string_view clip_utf8(std::string_view text, size_t limit) noexcept {
    if (text.size() <= limit) return text;
    while (limit > 0 && (static_cast<uint8_t>(text[limit]) & 0xc0) == 0x80) --limit;
    return text.substr(0, limit);
}

}  // namespace remora
