// SPDX-License-Identifier: Apache-2.0
// Bodies: of known length, chunked (RFC 9112, section 7.1), and until the connection ends.
#include "agent/protocol/http/scan.h"
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

constexpr uint64_t chunk_max = INT64_MAX;

int hex_value(uint8_t c) {
    if (ascii_digit(c)) return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Passes over body bytes; true: state.left reached zero.
bool take(Call& call) {
    State& state = call.state;
    const uint64_t available = static_cast<uint64_t>(call.end - call.at);
    const uint64_t count = available < state.left ? available : state.left;
    state.left -= count;
    call.parse.message.body_bytes += count;
    call.at += count;
    return state.left == 0;
}

// What may follow the digits. The blanks are bad whitespace (RFC 9110, 5.6.3), which some servers
// fill up a size with.
bool end_chunk_size(State& state, uint8_t c) {
    if (c == '\r') {
        state.phase = Phase::chunk_size_lf;
    } else if (c == ';') {
        state.phase = Phase::chunk_extension;
    } else if (c == ' ' || c == '\t') {
        state.phase = Phase::chunk_blank;
    } else {
        return false;
    }
    return true;
}

// One byte of a chunk's size line; false: malformed. Only CRLF ends it: that some accept a bare LF
// here is a known way to make two receivers see different chunks.
bool parse_chunk_size(Call& call) {
    State& state = call.state;
    const uint8_t c = *call.at++;
    const int digit = hex_value(c);
    if (digit >= 0) {
        if (state.left > chunk_max >> 4) return false;
        state.left = state.left << 4 | static_cast<unsigned>(digit);
        state.step = 1;
        return true;
    }
    if (state.step == 0) return false;
    return end_chunk_size(state, c);
}

bool parse_chunk_extension(Call& call) {
    call.at = find_value_stop(call.at, call.end);
    if (call.empty()) return true;
    if (*call.at++ != '\r') return false;
    call.state.phase = Phase::chunk_size_lf;
    return true;
}

bool expect(Call& call, uint8_t c, Phase next) {
    if (*call.at++ != c) return false;
    call.state.phase = next;
    return true;
}

bool parse_chunk_size_lf(Call& call) {
    State& state = call.state;
    if (state.left > 0) return expect(call, '\n', Phase::chunk_data);
    state.set(mark_trailer);
    return expect(call, '\n', Phase::line_start);
}

bool parse_chunk_end_lf(Call& call) {
    call.state.left = 0;
    call.state.step = 0;
    return expect(call, '\n', Phase::chunk_size);
}

bool complete(Call& call, Step& out) {
    call.state = State{};
    out = call.step(Verdict::complete);
    return true;
}

}  // namespace

bool parse_body(Call& call, Step& out) noexcept {
    if (call.state.phase == Phase::due && !call.empty()) {
        ++call.at;
        return complete(call, out);
    }
    while (!call.empty()) {
        bool good = true;
        switch (call.state.phase) {
            case Phase::body:
                if (take(call)) return complete(call, out);
                break;
            case Phase::until_close:
                call.parse.message.body_bytes += static_cast<uint64_t>(call.end - call.at);
                call.at = call.end;
                break;
            case Phase::chunk_size: good = parse_chunk_size(call); break;
            case Phase::chunk_blank: good = end_chunk_size(call.state, *call.at++); break;
            case Phase::chunk_extension: good = parse_chunk_extension(call); break;
            case Phase::chunk_size_lf: good = parse_chunk_size_lf(call); break;
            case Phase::chunk_data:
                if (take(call)) call.state.phase = Phase::chunk_end;
                break;
            case Phase::chunk_end: good = expect(call, '\r', Phase::chunk_end_lf); break;
            case Phase::chunk_end_lf: good = parse_chunk_end_lf(call); break;
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
