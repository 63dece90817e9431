// SPDX-License-Identifier: Apache-2.0
// Request line and status line (RFC 9112, sections 3 and 4). A line that isn't HTTP/1 ends it all:
// this is how RTSP, SIP, ICAP, SMTP and the like are told apart.
#include "agent/protocol/http/scan.h"
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

constexpr size_t method_max = 20;
constexpr size_t version_size = 8;  // "HTTP/1.1"
constexpr size_t status_size = 12;  // "HTTP/1.1 200"

void begin_fields(Call& call) {
    call.state.phase = Phase::line_start;
    call.state.set(mark_first_line);
}

// "HTTP/1." and a digit. Higher minor versions are read as 1.1 (RFC 9110, 2.5).
bool read_version(Call& call, ByteView text) {
    if (!(text.first(version_size - 1) == ByteView{"HTTP/1."}) || !ascii_digit(text[7]))
        return false;
    if (text[7] == '0') call.state.set(mark_old);
    if (text[7] > '1') call.leave_alone();
    return true;
}

// Goes past the line's end, where CR or LF is the next byte. false: it is no line end.
bool end_line(Call& call) {
    if (*call.at == '\r') {
        call.state.phase = Phase::start_line_lf;
    } else if (*call.at == '\n') {
        begin_fields(call);
    } else {
        return false;
    }
    ++call.at;
    return true;
}

bool parse_version(Call& call) {
    State& state = call.state;
    while (!call.empty() && state.token_size == 0 && *call.at == ' ') {
        call.leave_alone();
        ++call.at;
    }
    const uint8_t* stop = find_at_most(call.at, call.end, ' ');
    state.keep({call.at, static_cast<size_t>(stop - call.at)});
    call.at = stop;
    if (state.token_size > version_size) return false;
    if (call.empty()) return true;
    if (state.token_size != version_size || !read_version(call, state.token_view())) return false;
    if (!end_line(call)) return false;
    call.parse.capture.append(' ');
    call.parse.capture.append(state.token_view());
    call.parse.capture.append('\n');
    return true;
}

// Each goes on with the next part where that is there, too.
bool parse_target(Call& call) {
    const uint8_t* stop = find_at_most(call.at, call.end, ' ');
    const ByteView piece{call.at, static_cast<size_t>(stop - call.at)};
    if (!piece.empty()) {
        call.state.step = 1;
        capture_target(call, piece);
    }
    call.at = stop;
    if (call.empty()) return true;
    if (*call.at != ' ') return false;
    ++call.at;
    if (call.state.step == 0) {
        call.leave_alone();  // a second blank after the method: receivers differ
        return true;
    }
    capture_target_end(call);
    call.state.token_size = 0;
    call.state.phase = Phase::version;
    return call.empty() || parse_version(call);
}

bool parse_method(Call& call) {
    const uint8_t* stop = find_token_end(call.at, call.end);
    const ByteView piece{call.at, static_cast<size_t>(stop - call.at)};
    call.state.keep(piece);
    call.at = stop;
    if (call.state.token_size > method_max) return false;
    if (call.empty()) return true;
    if (*call.at != ' ' || call.state.token_size == 0) return false;
    ++call.at;
    const ByteView method = call.state.token_view();
    if (method == ByteView{"PRI"}) return false;  // kept for HTTP/2 (RFC 9113, 3.4)
    if (method == ByteView{"HEAD"}) call.state.set(mark_head);
    if (method == ByteView{"CONNECT"}) call.state.set(mark_connect);
    if (method == ByteView{"GET"}) call.state.set(mark_get);
    if (method == ByteView{"POST"} || method == ByteView{"PUT"}) call.state.set(mark_post);
    call.parse.capture.append(method);
    call.parse.capture.append(' ');
    call.state.token_size = 0;
    call.state.phase = Phase::target;
    return call.empty() || parse_target(call);
}

bool parse_status(Call& call) {
    State& state = call.state;
    const ByteView rest{call.at, static_cast<size_t>(call.end - call.at)};
    const ByteView piece = rest.first(status_size - state.token_size);
    state.keep(piece);
    call.at += piece.size;
    if (state.token_size < status_size)
        return memchr(state.token, '\n', state.token_size) == nullptr;
    const uint8_t* digits = state.token + version_size + 1;
    if (!read_version(call, state.token_view()) || digits[-1] != ' ') return false;
    for (int i = 0; i < 3; ++i) {
        if (!ascii_digit(digits[i])) return false;
        state.status = static_cast<uint16_t>(state.status * 10 + (digits[i] - '0'));
    }
    if (state.status < 100) return false;
    call.parse.capture.append(state.token_view());
    call.parse.capture.append('\n');
    state.phase = Phase::status_end;
    return true;
}

// A reason phrase is passed over like a value that means nothing; none is needed.
bool parse_status_end(Call& call) {
    if (*call.at != ' ') return end_line(call);
    ++call.at;
    call.state.set(mark_first_line);
    call.state.field = FieldName::other;
    call.state.phase = Phase::value;
    return true;
}

bool parse_start_line_lf(Call& call) {
    if (*call.at != '\n') return false;
    ++call.at;
    begin_fields(call);
    return true;
}

}  // namespace

bool parse_start_line(Call& call, Step& out) noexcept {
    while (!call.empty()) {
        bool good = false;
        switch (call.state.phase) {
            case Phase::method: good = parse_method(call); break;
            case Phase::target: good = parse_target(call); break;
            case Phase::version: good = parse_version(call); break;
            case Phase::status: good = parse_status(call); break;
            case Phase::status_end: good = parse_status_end(call); break;
            case Phase::start_line_lf: good = parse_start_line_lf(call); break;
            default: return false;
        }
        if (!good) {
            out = call.invalid();
            return true;
        }
    }
    return false;
}

}  // namespace remora::protocol::http
