// SPDX-License-Identifier: Apache-2.0
// Text of unknown origin, made harmless for a terminal or a log: no escape sequence, line break or
// change of writing direction survives. Agent only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace remora {

// Control characters (C0, DEL, C1) and characters that steer the display (bidirectional controls,
// line and paragraph separators, byte order mark) become "\n", "\t", "\x1b", "\u202e"; ill-formed
// UTF-8 becomes U+FFFD. Without `unicode` everything beyond ASCII becomes '?'.
std::string printable(std::string_view text, bool unicode = true);

// Columns that a printable text takes: wide characters two, combining ones none.
size_t display_width(std::string_view text);

// Cut to `columns`, with an ellipsis ("…" or "~") in place of what is gone.
std::string clip_columns(std::string_view text, size_t columns, bool unicode = true);

}  // namespace remora
