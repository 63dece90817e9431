// SPDX-License-Identifier: Apache-2.0
#include "agent/config/otlp_endpoint.h"

#include <algorithm>

#include "agent/config/parse_value.h"

namespace remora {
namespace {

constexpr std::string_view unix_scheme = "unix:";
constexpr size_t unix_path_limit = 107;  // sun_path, unix(7), with its terminating zero

// Behind "unix:" or "unix://"; empty: it is no such name.
std::string_view unix_path(std::string_view text) {
    if (text.rfind(unix_scheme, 0) != 0) return {};
    text.remove_prefix(unix_scheme.size());
    if (text.rfind("//", 0) == 0) text.remove_prefix(2);
    return text;
}

bool is_host_and_port(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0 || text.find('/') != std::string_view::npos)
        return false;
    return bool(parse_whole_number(text.substr(colon + 1), 1, 65535));
}

}  // namespace

Result<std::string> parse_otlp_endpoint(std::string_view text) {
    if (text.rfind(unix_scheme, 0) == 0) {
        const std::string_view path = unix_path(text);
        if (path.empty() || path.size() > unix_path_limit || path.front() != '/')
            return Error{"must name a socket by its absolute path: unix:/run/otel.sock"};
        return std::string(text);
    }
    if (is_host_and_port(text) && parse_http_url("http://" + std::string(text)))
        return std::string(text);
    auto url = parse_http_url(text);
    if (!url) return Error{"must be an http:// or https:// URL, unix:/PATH, or HOST:PORT"};
    return url;
}

void set_otlp_endpoint(OtlpConfig& otlp, const std::string& text, bool is_base, bool insecure) {
    otlp.unix_socket = unix_path(text);
    if (!otlp.unix_socket.empty()) {
        otlp.endpoint = traces_url("http://localhost");
        return;
    }
    std::string url = text;
    if (text.find("://") == std::string::npos) {
        const bool tls = otlp.protocol == OtlpProtocol::grpc && !insecure;
        url = (tls ? "https://" : "http://") + text;
    }
    otlp.endpoint = is_base ? traces_url(url) : url;
}

}  // namespace remora
