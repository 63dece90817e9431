// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0 and 1.1 (RFC 9110, RFC 9112): the protocol object and how a call goes through its parts.
#include "agent/protocol/http/scan.h"
#include "agent/protocol/http/state.h"
#include "bpf/abi/loss.h"

namespace remora::protocol::http {
namespace {

constexpr uint32_t head_max = 64 * 1024;
constexpr size_t detect_max = 24;
constexpr size_t method_max = 20;
constexpr size_t empty_max = 8;  // CR and LF before the first request line

// Common servers' limits of a head, and how far below one we still keep away.
constexpr size_t size_limits[] = {4096, 8192, 16384, 32768, 65536};
constexpr size_t size_margin = 256;
constexpr unsigned field_limit = 90;  // below the 100 of several servers and libraries

constexpr bool method_character(uint8_t c) {
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

// Does this request line, without its LF, end in " HTTP/1." and a digit?
bool ends_in_version(ByteView line) {
    if (!line.empty() && line[line.size - 1] == '\r') --line.size;
    const ByteView end = line.from(line.size < 9 ? line.size : line.size - 9);
    return end.size == 9 && end.first(8) == ByteView{" HTTP/1."} && ascii_digit(end[8]);
}

Detection detect(ByteView bytes) noexcept {
    size_t at = 0;
    while (at < bytes.size && at < empty_max && (bytes[at] == '\r' || bytes[at] == '\n')) ++at;
    const ByteView line = bytes.from(at);
    size_t size = 0;
    while (size < line.size && method_character(line[size])) ++size;
    if (size > method_max) return Detection::no;
    if (size == line.size) return bytes.size < detect_max ? Detection::maybe : Detection::no;
    if (line[size] != ' ' || size == 0) return Detection::no;
    if (line.first(size) == ByteView{"PRI"}) return Detection::no;  // HTTP/2, RFC 9113, 3.4
    const void* lf = memchr(line.data, '\n', line.size);
    if (lf == nullptr) return Detection::yes;
    const auto length = static_cast<size_t>(static_cast<const uint8_t*>(lf) - line.data);
    return ends_in_version(line.first(length)) ? Detection::yes : Detection::no;
}

// RFC 9112, 2.2: empty lines before a request line are ignored.
Step begin_message(Call& call) {
    while (!call.empty() && (*call.at == '\r' || *call.at == '\n')) ++call.at;
    if (call.empty()) return call.step(Verdict::partial);
    const bool good = call.request() ? token_table.is[*call.at] : *call.at == 'H';
    if (!good) return call.invalid();
    call.state = State{};
    call.state.phase = call.request() ? Phase::method : Phase::status;
    call.parse.message = Message{};
    call.parse.message.push = !call.request() && call.parse.answers_nothing;
    return call.step(Verdict::begin);
}

Step go_on(Call& call) {
    while (true) {
        Step out{Verdict::partial, 0};
        bool said = false;
        const Phase phase = call.state.phase;
        if (phase >= Phase::body) {
            said = parse_body(call, out);
        } else if (phase >= Phase::line_start) {
            said = parse_fields(call, out);
        } else {
            said = parse_start_line(call, out);
        }
        if (said) return out;
        if (call.empty()) return call.step(Verdict::partial);
    }
}

Step parse(Parse& parse, ByteView input) noexcept {
    State& state = parse.state.as<State>();
    if (state.phase == Phase::doomed) return {Verdict::invalid, 0};
    if (state.phase == Phase::tunnel) return {Verdict::ignored, 0};
    const bool head = state.in_head() && !state.has(mark_trailer);
    // A head that outgrows its limit ends at the same byte however it is cut.
    if (head) input = input.first(head_max - parse.message.head_bytes);
    Call call{parse, state, input.data, input.data + input.size, input.data};
    if (state.phase == Phase::idle) return begin_message(call);
    const Step step = go_on(call);
    if (!head) return step;
    parse.message.head_bytes += static_cast<uint32_t>(step.consumed);
    if (step.verdict == Verdict::partial && parse.message.head_bytes >= head_max)
        return call.invalid();
    return step;
}

uint64_t body_left(const ParserState& parser) noexcept {
    const State& state = parser.as<State>();
    switch (state.phase) {
        case Phase::body:
        case Phase::chunk_data: return state.left;
        case Phase::until_close: return UINT64_MAX;
        default: return 0;
    }
}

Verdict skip(ParserState& parser, Message& message, uint64_t count) noexcept {
    State& state = parser.as<State>();
    const uint64_t left = body_left(parser);
    if (count > left) count = left;
    message.body_bytes += count;
    if (left == 0 || state.phase == Phase::until_close) return Verdict::partial;
    state.left -= count;
    if (state.left > 0) return Verdict::partial;
    if (state.phase == Phase::chunk_data) {
        state.phase = Phase::chunk_end;
        return Verdict::partial;
    }
    state = State{};
    return Verdict::complete;
}

Verdict finish(ParserState& parser, Message&) noexcept {
    State& state = parser.as<State>();
    switch (state.phase) {
        case Phase::idle:
        case Phase::tunnel: return Verdict::partial;
        case Phase::until_close:
        case Phase::due: state = State{}; return Verdict::complete;
        default: state.phase = Phase::doomed; return Verdict::invalid;
    }
}

size_t write_field(PropagationField field, ByteView value, char* out, size_t capacity) noexcept {
    const ByteView name = field == PropagationField::traceparent  ? ByteView{"traceparent: "}
                          : field == PropagationField::tracestate ? ByteView{"tracestate: "}
                                                                  : ByteView{};
    if (name.empty() || capacity < name.size + 2 || value.size > capacity - name.size - 2) return 0;
    memcpy(out, name.data, name.size);
    if (!value.empty()) memcpy(out + name.size, value.data, value.size);
    memcpy(out + name.size + value.size, "\r\n", 2);
    return name.size + value.size + 2;
}

int refuse_insert(const Message& message, size_t extra, unsigned fields) noexcept {
    if (message.untouchable) return REMORA_LOSS_not_injected_untouchable;
    if (message.fields + fields > field_limit) return REMORA_LOSS_not_injected_limit;
    const size_t before = size_t{message.head_bytes} + 2;  // with the blank line
    for (const size_t limit : size_limits)
        if (before <= limit && before + extra > limit - size_margin)
            return REMORA_LOSS_not_injected_limit;
    return -1;
}

}  // namespace

extern const Protocol protocol = {
    .name = "http",
    .serves = true,
    .calls = true,
    .injects = true,
    .batches = false,
    .detect = detect,
    .parse = parse,
    .body_left = body_left,
    .skip = skip,
    .finish = finish,
    .write_field = write_field,
    .refuse_insert = refuse_insert,
};

}  // namespace remora::protocol::http
