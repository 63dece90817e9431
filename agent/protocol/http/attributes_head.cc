// SPDX-License-Identifier: Apache-2.0
#include "agent/base/text.h"
#include "agent/protocol/http/captured_head.h"

namespace remora::protocol::http {
namespace {

constexpr std::string_view version_prefix = "HTTP/";

std::string_view text_of(ByteView bytes) {
    return bytes.empty() ? std::string_view() : std::string_view(bytes.chars(), bytes.size);
}

// Takes the next line that has its end. A last line without one was cut and can't be trusted: half
// a host name is another host.
bool next_line(std::string_view& text, std::string_view& line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return true;
}

void read_request_line(std::string_view line, RequestHead& head) {
    const size_t first = line.find(' ');
    const size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return;
    head.method = line.substr(0, first);
    head.target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (version.substr(0, version_prefix.size()) == version_prefix)
        head.version = version.substr(version_prefix.size());
}

std::string_view* place_of(std::string_view name, RequestHead& head) {
    if (name == "host") return &head.host;
    if (name == "user-agent") return &head.user_agent;
    if (name == "forwarded") return &head.forwarded;
    if (name == "x-forwarded-for") return &head.x_forwarded_for;
    if (name == "x-forwarded-host") return &head.x_forwarded_host;
    if (name == "x-forwarded-port") return &head.x_forwarded_port;
    if (name == "x-forwarded-proto") return &head.x_forwarded_proto;
    return nullptr;
}

void read_field(std::string_view line, RequestHead& head) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::string_view* place = place_of(line.substr(0, colon), head);
    if (place != nullptr && place->empty()) *place = trim_text(line.substr(colon + 1));
}

// "HTTP/1.1 200"; 0: it isn't.
int status_of_line(std::string_view line) {
    constexpr size_t size = 12;
    if (line.size() != size || line.substr(0, version_prefix.size()) != version_prefix) return 0;
    int status = 0;
    for (const char c : line.substr(size - 3)) {
        if (!ascii_digit(static_cast<uint8_t>(c))) return 0;
        status = status * 10 + (c - '0');
    }
    return status;
}

}  // namespace

RequestHead read_request(ByteView capture) {
    RequestHead head;
    std::string_view text = text_of(capture);
    std::string_view line;
    if (next_line(text, line)) {
        read_request_line(line, head);
    } else {
        head.method = text.substr(0, text.find(' '));  // even the request line was cut
    }
    while (next_line(text, line)) read_field(line, head);
    return head;
}

int read_status(ByteView capture) {
    std::string_view text = text_of(capture);
    std::string_view line;
    int last = 0;
    while (next_line(text, line)) {
        const int status = status_of_line(line);
        if (status != 0) last = status;
    }
    return last;
}

}  // namespace remora::protocol::http
