// SPDX-License-Identifier: Apache-2.0
// Parts of a request's target and of authorities. Views point into the argument. Agent only.
#pragma once

#include <string_view>

namespace remora::protocol::http {

// "example.com:8080", "[2001:db8::1]:443", "user:word@example.com". Of a host in brackets the
// brackets go.
struct Authority {
    std::string_view host;
    int port = 0;  // 0: none, or not a port
};
Authority parse_authority(std::string_view text);

// The four forms of RFC 9112, section 3.2.
struct Target {
    std::string_view scheme;     // absolute-form: as it was written
    std::string_view authority;  // absolute- and authority-form
    std::string_view path;       // "/", too, where the absolute form has none; "*" of asterisk-form
    std::string_view query;      // without '?'
};
Target parse_target(std::string_view method, std::string_view target);

// A decimal port; 0: not one.
int parse_port(std::string_view text);

}  // namespace remora::protocol::http
