// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text.h"
#include "agent/protocol/http/forwarded.h"
#include "agent/protocol/http/url_parts.h"

namespace remora::protocol::http {
namespace {

// Cuts at the first separator that is not inside a quoted string, and takes the part away.
std::string_view take_part(std::string_view& text, char separator) {
    bool quoted = false;
    size_t i = 0;
    for (; i < text.size(); ++i) {
        if (text[i] == '\\' && quoted) {
            ++i;
        } else if (text[i] == '"') {
            quoted = !quoted;
        } else if (text[i] == separator && !quoted) {
            break;
        }
    }
    const std::string_view part = text.substr(0, i);
    text.remove_prefix(i < text.size() ? i + 1 : text.size());
    return trim_text(part);
}

// Addresses, hosts and schemes have nothing in them that needs a backslash.
std::string_view unquote(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        return text.substr(1, text.size() - 2);
    return text;
}

// RFC 7239, 6: an address, "unknown", or an obfuscated name. Only the first is an address.
std::string_view client_of_node(std::string_view node) {
    if (node.empty() || node.front() == '_' || equals_ignoring_case(node, "unknown")) return {};
    return parse_authority(node).host;
}

void read_forwarded(std::string_view field, Origin& out) {
    std::string_view element = take_part(field, ',');
    while (!element.empty()) {
        const std::string_view pair = take_part(element, ';');
        const size_t equals = pair.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view name = pair.substr(0, equals);
        const std::string_view value = unquote(pair.substr(equals + 1));
        if (equals_ignoring_case(name, "for")) out.client = client_of_node(value);
        if (equals_ignoring_case(name, "host")) out.authority = value;
        if (equals_ignoring_case(name, "proto")) out.scheme = value;
    }
}

std::string_view first_element(std::string_view list) {
    return trim_text(list.substr(0, list.find(',')));
}

}  // namespace

Origin origin_of(const RequestHead& head) {
    Origin out;
    read_forwarded(head.forwarded, out);
    if (out.client.empty()) out.client = client_of_node(first_element(head.x_forwarded_for));
    if (out.authority.empty()) {
        out.authority = first_element(head.x_forwarded_host);
        out.port = first_element(head.x_forwarded_port);
    }
    if (out.scheme.empty()) out.scheme = first_element(head.x_forwarded_proto);
    return out;
}

}  // namespace remora::protocol::http
