// SPDX-License-Identifier: Apache-2.0
#include "agent/config/parse_value.h"

#include <algorithm>
#include <charconv>

#include "agent/base/text.h"

namespace remora {
namespace {

constexpr std::string_view scheme_end = "://";

bool has_control(std::string_view text) {
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
    return false;
}

}  // namespace

bool is_token(std::string_view text) {
    constexpr std::string_view special = "!#$%&'*+-.^_`|~";
    if (text.empty()) return false;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && special.find(c) == std::string_view::npos) return false;
    }
    return true;
}

Result<uint64_t> parse_whole_number(std::string_view text, uint64_t least, uint64_t most) {
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    if (text.empty() || problem != std::errc() || stop != end || number < least || number > most)
        return Error{"must be a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most)};
    return number;
}

Result<bool> parse_otel_boolean(std::string_view text) {
    if (equals_ignoring_case(text, "true")) return true;
    if (equals_ignoring_case(text, "false")) return false;
    return Error{"must be true or false"};
}

Result<bool> parse_own_boolean(std::string_view text) {
    if (text == "1") return true;
    if (text == "0") return false;
    auto value = parse_otel_boolean(text);
    if (!value) return Error{"must be true, false, 1 or 0"};
    return value;
}

Result<std::string> parse_http_url(std::string_view text) {
    const Error error{"must be an http:// or https:// URL"};
    const size_t colon = text.find(scheme_end);
    if (colon == std::string_view::npos) return error;
    const std::string_view scheme = text.substr(0, colon);
    if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https"))
        return error;
    const std::string_view rest = text.substr(colon + scheme_end.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if (authority.empty() || authority.front() == ':' || authority.back() == '@') return error;
    if (has_control(text) || text.find(' ') != std::string_view::npos) return error;
    return std::string(text);
}

Result<Headers> parse_headers(std::string_view text) {
    Headers headers;
    for (const std::string_view entry : split_list(text, ',')) {
        const size_t equals = entry.find('=');
        const std::string_view name = trim_text(entry.substr(0, equals));
        std::string value;
        // The entry itself may be a secret that lost its name: it is not quoted.
        if (equals == std::string_view::npos || !is_token(name) ||
            !percent_decode(trim_text(entry.substr(equals + 1)), value) || has_control(value))
            return Error{"must be name=value,name=value with percent-encoded values"};
        headers.emplace_back(name, std::move(value));
    }
    return headers;
}

std::string traces_url(std::string_view base) {
    const size_t tail = base.find_first_of("?#");
    std::string_view path = base.substr(0, tail);
    while (!path.empty() && path.back() == '/') path.remove_suffix(1);
    std::string url(path);
    url += "/v1/traces";
    if (tail != std::string_view::npos) url += base.substr(tail);
    return url;
}

std::string without_secrets(std::string_view url) {
    const size_t colon = url.find(scheme_end);
    const size_t begin = colon == std::string_view::npos ? 0 : colon + scheme_end.size();
    const bool is_url = colon != std::string_view::npos;
    const size_t end = is_url ? std::min(url.find_first_of("/?#", begin), url.size()) : url.size();
    const size_t at = url.substr(begin, end - begin).rfind('@');
    std::string out(url.substr(0, begin));
    const bool has_user = at != std::string_view::npos;
    if (has_user) out += "***";
    url.remove_prefix(has_user ? begin + at : begin);
    const size_t question = url.find('?');
    out += url.substr(0, question);
    if (question == std::string_view::npos) return out;
    char separator = '?';
    for (const std::string_view pair : split_list(url.substr(question + 1), '&')) {
        const size_t equals = pair.find('=');
        out += separator;
        out += pair.substr(0, equals);
        if (equals != std::string_view::npos) out += "=***";
        separator = '&';
    }
    return out;
}

}  // namespace remora
