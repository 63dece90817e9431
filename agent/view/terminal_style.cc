// SPDX-License-Identifier: Apache-2.0
#include "agent/view/terminal_style.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "agent/base/text.h"

namespace remora {
namespace {

constexpr size_t least_width = 80, most_width = 240;

std::string_view value_of(const TerminalStyle::Environment& environment, const char* variable) {
    const char* value = environment(variable);
    return value == nullptr ? std::string_view() : value;
}

// The first of these that is set decides (POSIX, "Environment Variables", 8.2).
bool is_utf8_locale(const TerminalStyle::Environment& environment) {
    for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const std::string_view value = value_of(environment, variable);
        if (value.empty()) continue;
        const size_t dot = value.find('.');
        if (dot == std::string_view::npos) return false;
        const std::string_view charset = value.substr(dot + 1, value.find('@') - dot - 1);
        return equals_ignoring_case(charset, "utf-8") || equals_ignoring_case(charset, "utf8");
    }
    return false;
}

std::string wrapped(std::string_view text, const char* code) {
    return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

}  // namespace

TerminalStyle TerminalStyle::of(int fd, const Environment& environment) {
    TerminalStyle style;
    if (::isatty(fd) != 1) return style;
    style.unicode = is_utf8_locale(environment);
    style.color =
        value_of(environment, "NO_COLOR").empty() && value_of(environment, "TERM") != "dumb";
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        style.width = std::clamp<size_t>(size.ws_col, least_width, most_width);
    return style;
}

std::string painted(std::string_view text, Paint paint, const TerminalStyle& style) {
    if (!style.color || text.empty()) return std::string(text);
    switch (paint) {
        case Paint::bold: return wrapped(text, "1");
        case Paint::dim: return wrapped(text, "2");
        case Paint::failure: return wrapped(text, "1;31");
        case Paint::plain: break;
    }
    return std::string(text);
}

std::string painted_for(std::string_view text, std::string_view service,
                        const TerminalStyle& style) {
    constexpr const char* codes[] = {"36", "32", "33", "35", "34", "96", "92", "93", "95", "94"};
    if (!style.color || text.empty()) return std::string(text);
    uint32_t hash = 2166136261;  // FNV-1a: the same colour in every run
    for (const char c : service) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619;
    return wrapped(text, codes[hash % std::size(codes)]);
}

}  // namespace remora
