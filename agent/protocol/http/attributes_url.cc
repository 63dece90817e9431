// SPDX-License-Identifier: Apache-2.0
#include "agent/base/bytes.h"
#include "agent/protocol/http/url_parts.h"

namespace remora::protocol::http {
namespace {

constexpr auto none = std::string_view::npos;

void split_query(std::string_view rest, Target& out) {
    const size_t question = rest.find('?');
    out.path = rest.substr(0, question);
    if (question != none) out.query = rest.substr(question + 1);
    if (out.path.empty()) out.path = "/";
}

}  // namespace

int parse_port(std::string_view text) {
    if (text.empty() || text.size() > 5) return 0;
    int port = 0;
    for (const char c : text) {
        if (!ascii_digit(static_cast<uint8_t>(c))) return 0;
        port = port * 10 + (c - '0');
    }
    return port <= 65535 ? port : 0;
}

Authority parse_authority(std::string_view text) {
    const size_t user = text.rfind('@');
    if (user != none) text.remove_prefix(user + 1);
    if (!text.empty() && text.front() == '[') {
        const size_t close = text.find(']');
        if (close == none) return {};
        const std::string_view rest = text.substr(close + 1);
        const bool port = !rest.empty() && rest.front() == ':';
        return {text.substr(1, close - 1), port ? parse_port(rest.substr(1)) : 0};
    }
    const size_t colon = text.find(':');
    if (colon == none) return {text, 0};
    if (text.find(':', colon + 1) != none) return {text, 0};  // a bare IPv6 address
    return {text.substr(0, colon), parse_port(text.substr(colon + 1))};
}

Target parse_target(std::string_view method, std::string_view target) {
    Target out;
    if (target.empty()) return out;
    if (target.front() == '/' || target == "*") {
        split_query(target, out);
        return out;
    }
    const size_t slashes = target.find("://");
    if (slashes == none) {
        if (method == "CONNECT") out.authority = target;
        return out;
    }
    out.scheme = target.substr(0, slashes);
    const std::string_view rest = target.substr(slashes + 3);
    const size_t end = rest.find_first_of("/?#");
    out.authority = rest.substr(0, end);
    split_query(end == none ? std::string_view() : rest.substr(end), out);
    return out;
}

}  // namespace remora::protocol::http
