// SPDX-License-Identifier: Apache-2.0
// How to write to a terminal, or to what is none: glyphs, colours, width.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace remora {

struct TerminalStyle {
    bool unicode = false;
    bool color = false;
    size_t width = 100;  // columns

    using Environment = std::function<const char*(const char* variable)>;
    // Colours only on a terminal and without NO_COLOR (no-color.org); box drawing only on a
    // terminal whose locale is UTF-8.
    static TerminalStyle of(int fd, const Environment& environment);
};

enum class Paint { plain, bold, dim, failure };

// The text in a colour, or as it is where there are none.
std::string painted(std::string_view text, Paint paint, const TerminalStyle& style);
// In a colour of the service's own: the same one every time.
std::string painted_for(std::string_view text, std::string_view service,
                        const TerminalStyle& style);

}  // namespace remora
