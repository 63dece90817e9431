// SPDX-License-Identifier: Apache-2.0
// What proxies say of the request that they pass on: Forwarded (RFC 7239), else the X-Forwarded-*
// fields. The first element is the one nearest to the client. Agent only; anybody can write these.
#pragma once

#include <string_view>

#include "agent/protocol/http/captured_head.h"

namespace remora::protocol::http {

// Empty where nothing was said.
struct Origin {
    std::string_view client;     // an address, without a port
    std::string_view authority;  // host, perhaps with a port
    std::string_view port;
    std::string_view scheme;
};
Origin origin_of(const RequestHead& head);

}  // namespace remora::protocol::http
