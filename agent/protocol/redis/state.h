// SPDX-License-Identifier: Apache-2.0
// What the RESP parsers remember of one direction of one connection, and the pieces that requests
// and responses share. Built into the shim. Sizes are bytes.
// Source: RESP2 and RESP3, https://redis.io/docs/latest/develop/reference/protocol-spec/ and
// https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md
#pragma once

#include "agent/base/bytes.h"
#include "agent/protocol/protocol.h"

namespace remora::protocol::redis {

// Longest command name that is recorded, with its subcommand: "SENTINEL IS-MASTER-DOWN-BY-ADDR". A
// longer one is garbage or a command renamed to a digest, which is a secret.
constexpr size_t word_limit = 31;
constexpr uint64_t count_limit = 0x7fffffff;    // elements of an aggregate: INT_MAX in the server
constexpr uint64_t pending_limit = 0xfffffffe;  // values outstanding in one message
constexpr uint64_t length_limit = uint64_t{1} << 40;  // of one bulk string; the server's is 512 MB
constexpr unsigned streamed_depth = 3;                // nested aggregates of unknown length

enum class Stage : uint8_t {
    idle,        // between messages
    type,        // the next byte says what kind of value comes
    number,      // in the decimal number that follows the type byte
    line,        // in a value that is one line: pass over it
    error_word,  // in the first word of an error
    word,        // request: in a bulk string that is recorded, `left` bytes to go
    body,        // in a bulk string that is not looked at, `left` bytes to go
    body_end,    // at the CR LF that ends a bulk string
};

// request: answer_hint. The answer starts a stream of messages that answer nothing.
constexpr uint32_t hint_stream_follows = 1;

struct State {
    uint64_t left;  // the number being read, then the bytes of the bulk string left to read
    // Values still to come. [0]: of the message. Above: of each open aggregate of unknown length,
    // only those of the counted aggregates inside it.
    uint32_t pending[1 + streamed_depth];
    char word[word_limit];
    Stage stage;
    uint8_t type;  // of the value whose number or body is being read
    uint8_t word_size;
    uint8_t depth;         // index of the frame of `pending` in use
    uint8_t digits;        // of the number so far
    bool negative;         // the number
    bool unknown_length;   // "?" stood in place of the number
    bool word_overflow;    // the word is longer than word_limit
    bool carriage_return;  // the last byte was CR
    bool head_done;
    bool container;       // request: the first word wants a second
    bool chunks;          // response: within a string of unknown length
    bool ends_following;  // nothing can be followed after this message
    bool stopped;         // nothing is followed any more
};
static_assert(sizeof(State) <= ParserState::capacity);

enum class Progress : uint8_t { more, done, bad };

// Reads "[-]digits CR LF" or "? CR LF" into left, negative and unknown_length, from input[at] on.
Progress read_number(State& state, ByteView input, size_t& at) noexcept;
// Starts over before a number.
inline void expect_number(State& state, uint8_t type) noexcept {
    state.stage = Stage::number;
    state.type = type;
    state.left = 0;
    state.digits = 0;
    state.negative = false;
    state.unknown_length = false;
    state.carriage_return = false;
}
// Reads CR LF from input[at] on.
Progress read_line_end(State& state, ByteView input, size_t& at) noexcept;
// Goes past the end of a line, whatever it holds but a bare CR or LF.
Progress pass_line(State& state, ByteView input, size_t& at) noexcept;
// Moves over at most `left` bytes of a bulk string; done: none is left.
Progress pass_body(State& state, Message& message, ByteView input, size_t& at) noexcept;

inline void start_word(State& state) noexcept {
    state.word_size = 0;
    state.word_overflow = false;
}
inline void add_to_word(State& state, uint8_t c) noexcept {
    if (state.word_size < word_limit)
        state.word[state.word_size++] = static_cast<char>(c);
    else
        state.word_overflow = true;
}

// Appends the line whole or not at all.
void capture_line(Capture& capture, ByteView first, ByteView second = {}) noexcept;

Step parse_request(Parse& parse, ByteView input) noexcept;
Step parse_response(Parse& parse, ByteView input) noexcept;

}  // namespace remora::protocol::redis
