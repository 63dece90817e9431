// SPDX-License-Identifier: Apache-2.0
// Reads back what the parser captured of a request's and a response's head. Views point into the
// capture. Agent only; the capture is untrusted.
#pragma once

#include <string_view>

#include "agent/base/bytes.h"

namespace remora::protocol::http {

// Empty where it was absent, or cut away by the capture's limit. Of several lines the first.
struct RequestHead {
    std::string_view method;
    std::string_view target;
    std::string_view version;  // "1.1"
    std::string_view host;
    std::string_view user_agent;
    std::string_view forwarded;
    std::string_view x_forwarded_for;
    std::string_view x_forwarded_host;
    std::string_view x_forwarded_port;
    std::string_view x_forwarded_proto;
};
RequestHead read_request(ByteView capture);

// The status of the final response, or of the last interim one where none was final; 0: none.
int read_status(ByteView capture);

}  // namespace remora::protocol::http
