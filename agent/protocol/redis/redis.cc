// SPDX-License-Identifier: Apache-2.0
// Redis (RESP2 and RESP3), client side. A request is an array of bulk strings whose first names the
// command; inline commands are not followed. Only command names and error codes are captured, one a
// line. See state.h for sources and limits.
#include "agent/protocol/redis/state.h"

namespace remora::protocol::redis {

Progress read_number(State& state, ByteView input, size_t& at) noexcept {
    while (at < input.size) {
        const uint8_t c = input[at++];
        if (state.carriage_return) return c == '\n' ? Progress::done : Progress::bad;
        if (ascii_digit(c) && !state.unknown_length) {
            state.left = state.left * 10 + static_cast<uint64_t>(c - '0');
            // Fifteen digits are past every limit and far from an overflow.
            if (++state.digits > 15) return Progress::bad;
        } else if (c == '-' && state.digits == 0 && !state.negative && !state.unknown_length) {
            state.negative = true;
        } else if (c == '?' && state.digits == 0 && !state.negative && !state.unknown_length) {
            state.unknown_length = true;
        } else if (c == '\r' && (state.digits > 0 || state.unknown_length)) {
            state.carriage_return = true;
        } else {
            return Progress::bad;
        }
    }
    return Progress::more;
}

Progress read_line_end(State& state, ByteView input, size_t& at) noexcept {
    while (at < input.size) {
        const uint8_t c = input[at++];
        if (state.carriage_return) return c == '\n' ? Progress::done : Progress::bad;
        if (c != '\r') return Progress::bad;
        state.carriage_return = true;
    }
    return Progress::more;
}

Progress pass_line(State& state, ByteView input, size_t& at) noexcept {
    while (at < input.size) {
        const uint8_t c = input[at++];
        if (state.carriage_return) return c == '\n' ? Progress::done : Progress::bad;
        if (c == '\n') return Progress::bad;
        if (c == '\r') state.carriage_return = true;
    }
    return Progress::more;
}

Progress pass_body(State& state, Message& message, ByteView input, size_t& at) noexcept {
    const size_t available = input.size - at;
    const size_t count = state.left < available ? static_cast<size_t>(state.left) : available;
    at += count;
    state.left -= count;
    message.body_bytes += count;
    return state.left == 0 ? Progress::done : Progress::more;
}

void capture_line(Capture& capture, ByteView first, ByteView second) noexcept {
    const size_t size = first.size + (second.empty() ? 0 : 1 + second.size) + 1;
    if (capture.data != nullptr && size > static_cast<size_t>(capture.limit - capture.size)) {
        capture.cut = true;
        return;
    }
    capture.append(first);
    if (!second.empty()) {
        capture.append(' ');
        capture.append(second);
    }
    capture.append('\n');
}

namespace {

// Reads 1 to `digits_limit` digits that begin with no zero, then CR LF.
Detection detect_number(ByteView bytes, size_t& at, size_t digits_limit) noexcept {
    const size_t begin = at;
    while (at < bytes.size && ascii_digit(bytes[at])) ++at;
    const size_t digits = at - begin;
    if (digits > digits_limit || (digits > 0 && bytes[begin] == '0')) return Detection::no;
    if (at == bytes.size) return Detection::maybe;
    if (digits == 0 || bytes[at++] != '\r') return Detection::no;
    if (at == bytes.size) return Detection::maybe;
    return bytes[at++] == '\n' ? Detection::yes : Detection::no;
}

// "*<digits>\r\n$<digits>\r\n" and three letters: at most 20 bytes.
Detection detect(ByteView bytes) noexcept {
    constexpr size_t letters = 3;  // no command has fewer
    size_t at = 0;
    if (bytes.empty()) return Detection::maybe;
    if (bytes[at++] != '*') return Detection::no;
    if (Detection d = detect_number(bytes, at, 9); d != Detection::yes) return d;
    if (at == bytes.size) return Detection::maybe;
    if (bytes[at++] != '$') return Detection::no;
    if (Detection d = detect_number(bytes, at, 2); d != Detection::yes) return d;
    for (size_t i = 0; i < letters; ++i, ++at) {
        if (at == bytes.size) return Detection::maybe;
        const uint8_t c = ascii_lower(bytes[at]);
        if (c < 'a' || c > 'z') return Detection::no;
    }
    return Detection::yes;
}

Step parse(Parse& parse, ByteView input) noexcept {
    State& state = parse.state.as<State>();
    if (input.empty()) return {Verdict::partial, 0};
    if (state.stopped) return {Verdict::ignored, 0};
    const Step step = parse.kind == MessageKind::request ? parse_request(parse, input)
                                                         : parse_response(parse, input);
    if (step.verdict == Verdict::complete) {
        state.stage = Stage::idle;
        state.stopped = state.ends_following;
    }
    return step;
}

uint64_t body_left(const ParserState& parser_state) noexcept {
    const State& state = parser_state.as<State>();
    return state.stage == Stage::body ? state.left : 0;
}

Verdict skip(ParserState& parser_state, Message& message, uint64_t count) noexcept {
    State& state = parser_state.as<State>();
    if (state.stage != Stage::body || count > state.left) return Verdict::invalid;
    state.left -= count;
    message.body_bytes += count;
    if (!state.head_done) message.head_bytes += static_cast<uint32_t>(count);
    if (state.left == 0) {
        state.stage = Stage::body_end;
        state.carriage_return = false;
    }
    return Verdict::partial;  // CR LF still follows
}

Verdict finish(ParserState& parser_state, Message&) noexcept {
    return parser_state.as<State>().stage == Stage::idle ? Verdict::partial : Verdict::invalid;
}

}  // namespace

extern const Protocol protocol;
const Protocol protocol = {
    .name = "redis",
    .serves = false,
    .calls = true,
    .injects = false,
    .batches = true,
    .detect = detect,
    .parse = parse,
    .body_left = body_left,
    .skip = skip,
    .finish = finish,
    .write_field = nullptr,
    .refuse_insert = nullptr,
};

}  // namespace remora::protocol::redis
