// SPDX-License-Identifier: Apache-2.0
// UTF-8 as Unicode 15, table 3-7 defines it: no overlong forms, no surrogates, at most U+10FFFF.
// OTLP strings and JSON must be well-formed; what comes from a target need not be. Agent only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace remora {

// The size in bytes of the well-formed character that starts at text[offset], or 0.
size_t utf8_character_size(std::string_view text, size_t offset) noexcept;

bool is_valid_utf8(std::string_view text) noexcept;

// The text with every ill-formed sequence replaced by U+FFFD (one per maximal subpart, as browsers
// do).
std::string sanitize_utf8(std::string_view text);

// At most `limit` bytes of a well-formed text, never cutting a character in two.
std::string_view clip_utf8(std::string_view text, size_t limit) noexcept;

}  // namespace remora
