// SPDX-License-Identifier: Apache-2.0
// Field lines of a head, and of trailers (RFC 9112, section 5): where each begins, its name, and
// where it ends. What names and values mean is value.cc's business.
#include "agent/protocol/http/scan.h"
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

bool propagates(FieldName field) {
    return field == FieldName::traceparent || field == FieldName::tracestate;
}

bool frames(FieldName field) {
    return field == FieldName::content_length || field == FieldName::transfer_encoding;
}

// The rest of the line can't be a field: receivers refuse it, skip it or stop reading there.
void pass_over_line(Call& call) {
    call.doubt();
    call.state.field = FieldName::other;
    call.state.phase = Phase::value;
}

// A line that begins with a blank continues the one before (obs-fold, RFC 9112, 5.2). Of a field
// that means nothing here it can be followed, though not touched.
void begin_folded_line(Call& call) {
    State& state = call.state;
    call.leave_alone();
    if (state.has(mark_first_line | mark_trailer) || frames(state.field)) call.doubt();
    // Of a propagation field the continuation is reported as a line of its own: a folded
    // traceparent then counts as two, which is invalid.
    if (!propagates(state.field)) state.field = FieldName::other;
    state.clear(mark_piece | mark_named);
    state.phase = Phase::value;
}

// The insert point is reported once the blank line's first byte is there. Where the second one is
// there too and isn't LF, this is no blank line, and nothing may be put before it.
bool at_blank_line(Call& call, Step& out) {
    State& state = call.state;
    const bool cr = *call.at == '\r';
    if (cr && call.end - call.at > 1 && call.at[1] != '\n') call.leave_alone();
    if (!state.has(mark_trailer | mark_inserted)) {
        settle_framing(call);
        call.parse.message.telemetry = call.request() && carries_telemetry(state);
        state.set(mark_inserted);
        out = call.step(Verdict::insert);
        return true;
    }
    if (cr) {
        ++call.at;
        state.phase = Phase::blank_lf;
        return false;
    }
    out = end_head(call);
    return true;
}

const remora_named_field* named_field(const Call& call, ByteView name) {
    const NamedFields* named = call.parse.named;
    return named == nullptr ? nullptr : named->find(name);
}

// Most lines lie whole in one input, are well formed and mean nothing here. They are passed over
// without a step of the state machine: its steps were a fifth of the shim's instructions per
// request.
void pass_plain_lines(Call& call) {
    State& state = call.state;
    if (state.has(mark_trailer)) return;
    const uint8_t* const first = call.at;
    uint32_t lines = 0;
    while (true) {
        const uint8_t* stop = find_token_end(call.at, call.end);
        if (stop == call.at || stop == call.end || *stop != ':') break;
        const ByteView name{call.at, static_cast<size_t>(stop - call.at)};
        const FieldName field = classify(call.parse.kind, name);
        if (field != FieldName::other &&
            (field != FieldName::content_type || state.telemetry_path != 0))
            break;
        if (named_field(call, name) != nullptr) break;
        const uint8_t* line_end = find_value_stop(stop + 1, call.end);
        if (call.end - line_end < 2 || line_end[0] != '\r' || line_end[1] != '\n') break;
        call.at = line_end + 2;
        ++lines;
        if (call.empty()) break;
    }
    if (call.at == first) return;
    const uint32_t fields = call.parse.message.fields + lines;
    call.parse.message.fields = static_cast<uint16_t>(fields < UINT16_MAX ? fields : UINT16_MAX);
    state.field = FieldName::other;  // a folded line would go on with it
    state.clear(mark_first_line);
}

bool parse_line_start(Call& call, Step& out) {
    pass_plain_lines(call);
    if (call.empty()) return false;
    const uint8_t first = *call.at;
    if (first == '\r' || first == '\n') return at_blank_line(call, out);
    call.line = call.at;
    if (is_blank(first)) {
        begin_folded_line(call);
    } else {
        call.state.token_size = 0;
        call.state.phase = Phase::name;
    }
    call.state.clear(mark_first_line);
    return false;
}

bool parse_blank_lf(Call& call, Step& out) {
    if (*call.at != '\n') {
        out = call.invalid();
        return true;
    }
    out = end_head(call);
    return true;
}

// A name that lies in one input is never copied.
void parse_name(Call& call) {
    State& state = call.state;
    const uint8_t* stop = find_token_end(call.at, call.end);
    ByteView name{call.at, static_cast<size_t>(stop - call.at)};
    call.at = stop;
    const bool split = stop == call.end || state.token_size > 0;
    if (split) {
        state.keep(name);
        if (stop == call.end) return;
        name = state.token_view();
    }
    if (name.empty()) return pass_over_line(call);
    const MessageKind kind = call.parse.kind;
    // No name that means anything is as long as the token.
    const bool known = !(split && state.overflowed());
    const FieldName field = known ? classify(kind, name) : FieldName::other;
    if (*stop == ':') {
        ++call.at;
        return begin_value(call, field, known ? named_field(call, name) : nullptr);
    }
    if (!is_blank(*stop)) return pass_over_line(call);
    // RFC 9112, 5.1: servers refuse a blank here, proxies take it out, others skip the line.
    call.leave_alone();
    if (frames(field) || field == FieldName::upgrade) call.doubt();
    state.phase = Phase::name_blank;
}

void parse_name_blank(Call& call) {
    while (!call.empty() && is_blank(*call.at)) ++call.at;
    if (call.empty()) return;
    if (*call.at != ':') return pass_over_line(call);
    ++call.at;
    begin_value(call, FieldName::other);
}

// Hands a piece of a value on: to the caller where it propagates context, else to value.cc.
bool deliver(Call& call, ByteView piece, bool ends, Step& out) {
    State& state = call.state;
    if (state.has(mark_named)) add_to_named(call, piece, ends);
    if (state.field == FieldName::other) return false;
    if (!propagates(state.field)) {
        if (!piece.empty()) add_to_value(call, piece);
        if (ends) end_value(call);
        return false;
    }
    if (piece.empty() && !ends) return false;
    FieldPiece& field = call.parse.field;
    field = FieldPiece{};
    field.field = state.field == FieldName::traceparent ? PropagationField::traceparent
                                                        : PropagationField::tracestate;
    field.begins = !state.has(mark_piece);
    field.ends = ends;
    field.value = piece;
    if (call.line != nullptr) field.line_begin = static_cast<size_t>(call.line - call.begin);
    if (ends) field.line_end = call.consumed();
    state.set(mark_piece);
    out = call.step(Verdict::field);
    return true;
}

// NUL or a bare CR: some end the line or the value here (RFC 9110, 5.5). So do we, and what comes
// after it on this line means nothing, or is one line too many of a propagation field.
bool break_value(Call& call, ByteView piece, Step& out) {
    call.doubt();
    const bool said = deliver(call, piece, true, out);
    call.state.clear(mark_piece);
    if (!propagates(call.state.field)) call.state.field = FieldName::other;
    return said;
}

bool parse_value(Call& call, Step& out) {
    const uint8_t* stop = find_value_stop(call.at, call.end);
    const ByteView piece{call.at, static_cast<size_t>(stop - call.at)};
    call.at = stop;
    if (call.empty()) return deliver(call, piece, false, out);
    const uint8_t c = *call.at++;
    const bool more = !call.empty();
    const bool ends = c == '\n' || (c == '\r' && more && *call.at == '\n');
    if (!ends && !(c == '\r' && !more)) return break_value(call, piece, out);
    if (ends && c == '\r') ++call.at;
    call.state.phase = ends ? Phase::line_start : Phase::value_lf;
    return deliver(call, piece, ends, out);
}

bool parse_value_lf(Call& call, Step& out) {
    if (*call.at != '\n') {
        call.state.phase = Phase::value;
        return break_value(call, {call.at, 0}, out);
    }
    ++call.at;
    call.state.phase = Phase::line_start;
    return deliver(call, {call.at, 0}, true, out);
}

// Phases that a line is in only where it is cut or unusual. false: `out` has nothing.
bool parse_rest_of_line(Call& call, Step& out) {
    switch (call.state.phase) {
        case Phase::name_blank: parse_name_blank(call); return false;
        case Phase::value_lf: return parse_value_lf(call, out);
        case Phase::blank_lf: return parse_blank_lf(call, out);
        default: return false;
    }
}

}  // namespace

bool parse_fields(Call& call, Step& out) noexcept {
    const Phase& phase = call.state.phase;
    while (!call.empty() && phase >= Phase::line_start && phase <= Phase::blank_lf) {
        // What an ordinary line goes through, one after the other: a jump table is mispredicted.
        if (phase == Phase::line_start && parse_line_start(call, out)) return true;
        if (phase == Phase::name && !call.empty()) parse_name(call);
        if (phase == Phase::value && !call.empty()) {
            if (parse_value(call, out)) return true;
        } else if (!call.empty() && parse_rest_of_line(call, out)) {
            return true;
        }
    }
    return false;
}

}  // namespace remora::protocol::http
