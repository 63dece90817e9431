// SPDX-License-Identifier: Apache-2.0
#include "agent/config/listen_address.h"

#include "agent/config/parse_value.h"

namespace remora {

Result<ListenAddress> parse_listen_address(std::string_view text) {
    const Error error{"must be HOST:PORT, [IPV6]:PORT or :PORT"};
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return error;
    const auto port = parse_whole_number(text.substr(colon + 1), 0, 65535);
    if (!port) return error;
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return error;
    if (host.find_first_of(" /[]") != std::string_view::npos) return error;
    return ListenAddress{std::string(host), static_cast<int>(*port)};
}

}  // namespace remora
