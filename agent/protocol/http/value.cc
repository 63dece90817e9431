// SPDX-License-Identifier: Apache-2.0
// What field names and values mean. Values come in pieces and are read as they come.
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

constexpr uint16_t captured_value_max = 256;
constexpr uint64_t length_max = INT64_MAX;

bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

template <class Word>
bool same_word(const uint8_t* name, const char* literal) {
    Word a, b;
    memcpy(&a, name, sizeof(a));
    memcpy(&b, literal, sizeof(b));
    return (a | static_cast<Word>(0x2020202020202020)) == b;
}

// name, in any case, against a lower-case literal of the same size. Both consist of token
// characters, among which bit 5 tells nothing but upper from lower case where the literal has a
// letter, and is set where it has '-'. By words that overlap: names are compared for every line.
template <size_t N>
bool same(ByteView name, const char (&literal)[N]) {
    constexpr size_t size = N - 1;
    static_assert(size >= 4 && size <= 24);
    if constexpr (size < 8) {
        return same_word<uint32_t>(name.data, literal) &&
               same_word<uint32_t>(name.data + size - 4, literal + size - 4);
    } else {
        bool equal = same_word<uint64_t>(name.data, literal) &&
                     same_word<uint64_t>(name.data + size - 8, literal + size - 8);
        if constexpr (size > 16) equal = equal && same_word<uint64_t>(name.data + 8, literal + 8);
        return equal;
    }
}

const char* captured_name(FieldName field) {
    switch (field) {
        case FieldName::host: return "host";
        case FieldName::user_agent: return "user-agent";
        case FieldName::forwarded: return "forwarded";
        case FieldName::x_forwarded_for: return "x-forwarded-for";
        case FieldName::x_forwarded_host: return "x-forwarded-host";
        case FieldName::x_forwarded_port: return "x-forwarded-port";
        case FieldName::x_forwarded_proto: return "x-forwarded-proto";
        default: return nullptr;
    }
}

FieldName classify_framing(ByteView name) {
    if (name.size == 14 && same(name, "content-length")) return FieldName::content_length;
    if (name.size == 17 && same(name, "transfer-encoding")) return FieldName::transfer_encoding;
    return FieldName::other;
}

FieldName classify_propagation(ByteView name) {
    switch (propagation_field(name)) {
        case PropagationField::traceparent: return FieldName::traceparent;
        case PropagationField::tracestate: return FieldName::tracestate;
        default: return FieldName::other;
    }
}

FieldName classify_15(ByteView name) {
    if (same(name, "x-forwarded-for")) return FieldName::x_forwarded_for;
    if (same(name, "signature-input") || same(name, "x-amz-signature")) return FieldName::signature;
    return FieldName::other;
}

// The value's beginning is passed over while it is blank.
bool skip_leading_blanks(uint8_t& begun, ByteView& piece) {
    if (begun != 0) return true;
    while (!piece.empty() && is_blank(piece[0])) piece = piece.from(1);
    if (piece.empty()) return false;
    begun = 1;
    return true;
}

void emit(Call& call, ByteView piece) {
    State& state = call.state;
    const size_t room = static_cast<size_t>(captured_value_max - state.captured);
    if (piece.size > room) call.parse.capture.cut = true;
    piece = piece.first(room);
    state.captured = static_cast<uint16_t>(state.captured + piece.size);
    call.parse.capture.append(piece);
}

void capture_value(Call& call, ByteView piece) {
    if (skip_leading_blanks(call.state.step, piece)) emit(call, piece);
}

// A host has no business with a user; where there is one, it is a secret.
void emit_host(Call& call, ByteView host) {
    size_t user = host.size;
    while (user > 0 && host[user - 1] != '@') --user;
    if (user > 0) emit(call, "REDACTED:REDACTED@");
    emit(call, host.from(user));
}

// Its beginning tells exporters and scrapers.
void keep_agent(State& state, ByteView piece) {
    constexpr size_t enough = 20;
    if (state.token_size == 0)
        while (!piece.empty() && is_blank(piece[0])) piece = piece.from(1);
    if (state.token_size < enough) state.keep(piece.first(enough - state.token_size));
}

// A host is held back in the token until it is known whether an '@' follows. A longer one is let
// through as long as nothing of it can be a password: that comes after a colon, where a host has
// nothing but its port.
enum HostStep : uint8_t { host_before, host_held, host_long, host_port, host_dropped };

void drop_host(Call& call) {
    call.state.step = host_dropped;
    call.parse.capture.cut = true;
}

void add_to_long_host(Call& call, ByteView character) {
    State& state = call.state;
    const uint8_t c = character[0];
    if (state.step == host_held) {
        if (state.token_size < sizeof(state.token)) return state.keep(character);
        if (memchr(state.token, ':', state.token_size) != nullptr) return drop_host(call);
        emit_host(call, state.token_view());
        state.token_size = 0;
        state.step = host_long;
    }
    if (state.step == host_port) {
        constexpr size_t port_max = 6;  // with its colon
        if (is_blank(c)) return;
        if (!ascii_digit(c) || state.token_size == port_max) return drop_host(call);
        return state.keep(character);
    }
    if (c == '@') return drop_host(call);
    if (c == ':') {
        state.keep(character);
        state.step = host_port;
    } else {
        emit(call, character);
    }
}

void add_to_host(Call& call, ByteView piece) {
    State& state = call.state;
    if (!skip_leading_blanks(state.step, piece)) return;
    if (state.step == host_held && piece.size <= sizeof(state.token) - state.token_size)
        return state.keep(piece);
    for (size_t i = 0; i < piece.size && state.step != host_dropped; ++i)
        add_to_long_host(call, piece.slice(i, 1));
}

void end_host(Call& call) {
    const State& state = call.state;
    if (state.step == host_held) emit_host(call, state.token_view());
    if (state.step == host_port) emit(call, state.token_view());
    call.parse.capture.append('\n');
}

// --- Content-Length: 1*DIGIT. The running number lives in the token. -----------------------------

enum LengthStep : uint8_t { length_before, length_digits, length_after, length_bad };

void add_to_length(State& state, ByteView piece) {
    uint64_t number = 0;
    memcpy(&number, state.token, sizeof(number));
    if (state.step == length_before) number = 0;
    for (size_t i = 0; i < piece.size; ++i) {
        const uint8_t c = piece[i];
        if (ascii_digit(c) && state.step <= length_digits) {
            state.step = length_digits;
            const unsigned digit = c - '0';
            if (number > (length_max - digit) / 10) state.step = length_bad;
            number = number * 10 + digit;
        } else if (is_blank(c)) {
            if (state.step == length_digits) state.step = length_after;
        } else {
            state.step = length_bad;
        }
    }
    memcpy(state.token, &number, sizeof(number));
}

void end_length(Call& call) {
    State& state = call.state;
    if (state.step != length_digits && state.step != length_after) return call.doubt();
    uint64_t number = 0;
    memcpy(&number, state.token, sizeof(number));
    if (state.has(mark_length)) {
        call.leave_alone();
        if (number != state.left) call.doubt();
    }
    state.left = number;
    state.set(mark_length);
}

// --- Transfer-Encoding: a list of codings, of which chunked must be the last ---------------------

enum CodingStep : uint8_t { coding_name, coding_after };

void end_coding(Call& call) {
    State& state = call.state;
    const ByteView coding = state.overflowed() ? ByteView{"?"} : state.token_view();
    state.step = coding_name;
    state.token_size = 0;
    if (coding.empty()) return;  // RFC 9110, 5.6.1.2: empty elements are ignored
    if (state.has(mark_chunked)) return call.doubt();
    if (equal_ignoring_case(coding, "chunked")) return state.set(mark_chunked);
    const bool known =
        equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "deflate") ||
        equal_ignoring_case(coding, "compress") || equal_ignoring_case(coding, "x-gzip") ||
        equal_ignoring_case(coding, "x-compress");
    // "identity" was taken out of HTTP; servers still send it and mean "until the end".
    if (!known && (call.request() || !equal_ignoring_case(coding, "identity"))) call.doubt();
}

void add_to_coding(Call& call, ByteView piece) {
    State& state = call.state;
    for (size_t i = 0; i < piece.size; ++i) {
        const uint8_t c = piece[i];
        if (c == ',') {
            end_coding(call);
        } else if (is_blank(c)) {
            if (state.token_size > 0) state.step = coding_after;
        } else if (state.step == coding_after) {
            call.doubt();
        } else {
            state.keep(piece.slice(i, 1));
        }
    }
}

// --- Authorization: some schemes sign the head ---------------------------------------------------

enum AuthorizationStep : uint8_t { authorization_before, authorization_scheme, authorization_read };

void end_scheme(Call& call) {
    State& state = call.state;
    if (state.step == authorization_read) return;
    if (!state.overflowed() && equal_ignoring_case(state.token_view(), "signature"))
        call.leave_alone();
    state.step = authorization_read;
}

void add_to_authorization(Call& call, ByteView piece) {
    State& state = call.state;
    if (state.step == authorization_read || !skip_leading_blanks(state.step, piece)) return;
    constexpr size_t enough = 10;  // more than "signature" and "AWS4-"
    for (size_t i = 0; i < piece.size; ++i) {
        if (is_blank(piece[i]) || state.token_size >= enough) return end_scheme(call);
        state.keep(piece.slice(i, 1));
        if (equal_ignoring_case(state.token_view(), "aws4-")) {
            call.leave_alone();
            state.step = authorization_read;
            return;
        }
    }
}

}  // namespace

FieldName classify(MessageKind kind, ByteView name) noexcept {
    if (kind == MessageKind::response) return classify_framing(name);
    switch (name.size) {
        case 4: return same(name, "host") ? FieldName::host : FieldName::other;
        case 7: return same(name, "upgrade") ? FieldName::upgrade : FieldName::other;
        case 9:
            if (same(name, "forwarded")) return FieldName::forwarded;
            return same(name, "signature") ? FieldName::signature : FieldName::other;
        case 10:
            if (same(name, "user-agent")) return FieldName::user_agent;
            return classify_propagation(name);
        case 12: return same(name, "content-type") ? FieldName::content_type : FieldName::other;
        case 13: return same(name, "authorization") ? FieldName::authorization : FieldName::other;
        case 14: return classify_framing(name);
        case 15: return classify_15(name);
        case 16:
            if (same(name, "x-forwarded-host")) return FieldName::x_forwarded_host;
            return same(name, "x-forwarded-port") ? FieldName::x_forwarded_port : FieldName::other;
        case 17:
            if (same(name, "x-forwarded-proto")) return FieldName::x_forwarded_proto;
            return classify_framing(name);
        default: return classify_propagation(name);
    }
}

void begin_value(Call& call, FieldName field, const remora_named_field* named) noexcept {
    State& state = call.state;
    state.phase = Phase::value;
    state.field = FieldName::other;
    state.clear(mark_named);
    if (state.has(mark_trailer)) return;
    if (call.parse.message.fields < UINT16_MAX) ++call.parse.message.fields;
    state.field = field;
    const char* const captured = captured_name(field);
    if (named != nullptr && captured == nullptr) {
        state.set(mark_named);
        state.named_begun = 0;
        call.parse.capture.append(ByteView{named->name, named->size});
        call.parse.capture.append(": ");
    }
    state.captured = 0;
    if (field == FieldName::other) return;
    state.step = 0;
    state.token_size = 0;
    state.clear(mark_piece);
    if (field == FieldName::upgrade) state.set(mark_upgrade);
    if (field == FieldName::transfer_encoding) state.set(mark_coding);
    if (field == FieldName::signature) call.leave_alone();
    if (captured != nullptr) {
        call.parse.capture.append(ByteView{captured, strlen(captured)});
        call.parse.capture.append(": ");
    }
}

void add_to_named(Call& call, ByteView piece, bool ends) noexcept {
    if (skip_leading_blanks(call.state.named_begun, piece)) emit(call, piece);
    if (!ends) return;
    call.parse.capture.append('\n');
    call.state.clear(mark_named);
}

void add_to_value(Call& call, ByteView piece) noexcept {
    State& state = call.state;
    switch (state.field) {
        case FieldName::host:
        case FieldName::x_forwarded_host: return add_to_host(call, piece);
        case FieldName::content_type:
            if (skip_leading_blanks(state.step, piece)) state.keep(piece);
            return;
        case FieldName::user_agent:
            capture_value(call, piece);
            if (state.step != 0) keep_agent(state, piece);
            return;
        case FieldName::content_length: return add_to_length(call.state, piece);
        case FieldName::transfer_encoding: return add_to_coding(call, piece);
        case FieldName::authorization: return add_to_authorization(call, piece);
        case FieldName::upgrade:
        case FieldName::signature: return;
        default: return capture_value(call, piece);
    }
}

void end_value(Call& call) noexcept {
    switch (call.state.field) {
        case FieldName::host:
        case FieldName::x_forwarded_host: return end_host(call);
        case FieldName::content_type: return content_type_ends(call.state);
        case FieldName::user_agent:
            user_agent_ends(call.state);
            return call.parse.capture.append('\n');
        case FieldName::content_length: return end_length(call);
        case FieldName::transfer_encoding: return end_coding(call);
        case FieldName::authorization: return end_scheme(call);
        case FieldName::upgrade:
        case FieldName::signature: return;
        default: return call.parse.capture.append('\n');
    }
}

}  // namespace remora::protocol::http
