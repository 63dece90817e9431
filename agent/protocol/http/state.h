// SPDX-License-Identifier: Apache-2.0
// What the HTTP/1 parser remembers of one direction between two calls. Values are not kept: the
// token holds a method, a field's name, a coding or an authority, one at a time, never more.
#pragma once

#include "agent/protocol/protocol.h"

namespace remora::protocol::http {

enum class Phase : uint8_t {
    idle,  // between messages
    // The head. Its phases lie between idle and body.
    method,
    target,
    version,
    status,         // "HTTP/1.d ddd"
    status_end,     // what follows the three digits
    start_line_lf,  // the CR was seen
    line_start,
    name,
    name_blank,  // blanks between name and colon
    value,
    value_lf,  // the CR was seen
    blank_lf,  // of the line that ends head or trailers
    // What follows it.
    body,
    until_close,
    chunk_size,
    chunk_blank,  // between the size and ';' or CR
    chunk_extension,
    chunk_size_lf,
    chunk_data,
    chunk_end,
    chunk_end_lf,
    due,     // no body: complete is due at the next call
    tunnel,  // not HTTP any more
    doomed,  // can't be followed
};

// The fields that mean something here; value.cc has their names.
enum class FieldName : uint8_t {
    other,
    traceparent,
    tracestate,
    content_length,
    transfer_encoding,
    upgrade,
    authorization,
    signature,  // any whose presence says that the head is signed
    content_type,
    // Those that go onto the span as they are.
    host,
    user_agent,
    forwarded,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_port,
    x_forwarded_proto,
};

enum Mark : uint16_t {
    mark_old = 1 << 0,   // HTTP/1.0
    mark_head = 1 << 1,  // the method is HEAD
    mark_connect = 1 << 2,
    mark_upgrade = 1 << 3,
    mark_length = 1 << 4,       // a Content-Length was read
    mark_coding = 1 << 5,       // a Transfer-Encoding was read
    mark_chunked = 1 << 6,      // its last coding so far is chunked
    mark_doubt = 1 << 7,        // how the message is framed can't be known
    mark_inserted = 1 << 8,     // Verdict::insert was reported
    mark_trailer = 1 << 9,      // the fields are trailers
    mark_piece = 1 << 10,       // the first piece of this propagation line was reported
    mark_userinfo = 1 << 11,    // the target names a user
    mark_first_line = 1 << 12,  // no field line was seen
    mark_named = 1 << 13,       // the value goes into the capture, too
    mark_get = 1 << 14,         // the method is GET
    mark_post = 1 << 15,        // or POST, or PUT
};

// Message::answer_hint of a request.
enum Hint : uint32_t {
    hint_head = 1 << 0,
    hint_connect = 1 << 1,
};

// How far the redaction of a request target has come (target.cc).
enum class TargetPart : uint8_t {
    start,
    scheme,  // or an authority without one
    scheme_slash,
    authority,
    path,
    key,
    value,
    secret,
    dropped,
};

struct State {
    uint64_t left;      // bytes of body or chunk still to come; in a head: its Content-Length
    uint16_t marks;     // Mark
    uint16_t captured;  // bytes that the current target or value has put into the capture
    uint16_t status;
    Phase phase;
    FieldName field;
    TargetPart target_part;
    uint8_t step;  // of the current start line or value; meaning private to its reader
    uint8_t token_size;
    uint8_t named_begun;  // the current value, too: its leading blanks are over
    uint8_t telemetry_path;
    uint8_t telemetry_proofs;
    uint8_t pad[2];
    uint8_t token[56];

    [[nodiscard]] bool has(uint16_t mark) const { return (marks & mark) != 0; }
    void set(uint16_t mark) { marks = static_cast<uint16_t>(marks | mark); }
    void clear(uint16_t mark) { marks = static_cast<uint16_t>(marks & ~mark); }
    [[nodiscard]] ByteView token_view() const { return {token, token_size}; }
    [[nodiscard]] bool in_head() const { return phase > Phase::idle && phase < Phase::body; }

    // Appends to the token. What does not fit leaves it overflowed, its content lost.
    void keep(ByteView piece) {
        if (overflowed() || piece.size > sizeof(token) - token_size) {
            token_size = sizeof(token) + 1;
            return;
        }
        memcpy(token + token_size, piece.data, piece.size);
        token_size = static_cast<uint8_t>(token_size + piece.size);
    }
    [[nodiscard]] bool overflowed() const { return token_size > sizeof(token); }
};
static_assert(sizeof(State) <= ParserState::capacity);

// One call of parse(): what its parts share.
struct Call {
    Parse& parse;
    State& state;
    const uint8_t* const begin;  // of the input
    const uint8_t* const end;
    const uint8_t* at;
    const uint8_t* line = nullptr;  // where the current field line began; null: in earlier input

    [[nodiscard]] size_t consumed() const { return static_cast<size_t>(at - begin); }
    [[nodiscard]] bool empty() const { return at == end; }
    [[nodiscard]] Step step(Verdict verdict) const { return {verdict, consumed()}; }
    [[nodiscard]] bool request() const { return parse.kind == MessageKind::request; }
    // The head may be followed, but nobody may change it.
    void leave_alone() const { parse.message.untouchable = true; }
    // Receivers may disagree on what this message is: it is reported, and nothing after it.
    void doubt() const {
        leave_alone();
        state.set(mark_doubt);
    }
    Step invalid() const {
        state.phase = Phase::doomed;
        return step(Verdict::invalid);
    }
};

// A part of the parser goes on from call.at and returns true when it has something to say (in
// `out`); false: go on with the part that state.phase names, or the input is used up.
bool parse_start_line(Call& call, Step& out) noexcept;
bool parse_fields(Call& call, Step& out) noexcept;
bool parse_body(Call& call, Step& out) noexcept;

// value.cc: what a field's name and value mean. A piece has no line end in it.
FieldName classify(MessageKind kind, ByteView name) noexcept;
// named: the user's entry for the field, or null.
void begin_value(Call& call, FieldName field, const remora_named_field* named = nullptr) noexcept;
void add_to_value(Call& call, ByteView piece) noexcept;
void end_value(Call& call) noexcept;

// The same for a field that the user named, whatever else it means. ends: nothing of it follows.
void add_to_named(Call& call, ByteView piece, bool ends) noexcept;

// telemetry.cc: does the request carry telemetry? Asked once its fields are read.
constexpr size_t path_end_max = 24;
void keep_path_end(State& state, ByteView piece) noexcept;  // in the token
void path_ends(State& state) noexcept;
void content_type_ends(State& state) noexcept;  // of the value in the token, as the next
void user_agent_ends(State& state) noexcept;
bool carries_telemetry(const State& state) noexcept;

// framing.cc: what follows the head (RFC 9112, section 6). settle_framing() comes before the insert
// point, end_head() at the LF of the blank line. Of a message without a body it leaves the LF where
// it is: a caller who stops when the input is used up still hears `complete`.
void settle_framing(Call& call) noexcept;
Step end_head(Call& call) noexcept;

// target.cc: puts the request target into the capture, redacted, however it is cut.
void capture_target(Call& call, ByteView piece) noexcept;
void capture_target_end(Call& call) noexcept;

}  // namespace remora::protocol::http
