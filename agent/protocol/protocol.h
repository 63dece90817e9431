// SPDX-License-Identifier: Apache-2.0
// What a protocol is. A protocol is one folder, agent/protocol/<name>/, that defines
//
//   namespace remora::protocol::<name> {
//   extern const Protocol protocol;                                 // parser, built into the shim too
//   void describe(const ExchangeView&, Description&);               // attributes.cc, agent only
//   }
//
// A parser is pure: no I/O, no clock, no allocation, no globals, noexcept. It sees one direction of
// one connection as a stream that may be cut anywhere, keeps what it must remember in ParserState
// and reports one thing at a time: the caller acts, then calls again with the rest of the input.
// It never reads a byte beyond its input. Everything it reads may be hostile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/context/collector.h"
#include "agent/protocol/named_fields.h"

namespace remora {

enum class MessageKind : uint8_t { request, response };

enum class Verdict : uint8_t {
    partial,   // all of the input is consumed, nothing to report
    begin,     // a message begins with the next byte; its key is known. Consumed: what came before
    field,     // a piece of a propagation field: Parse::field
    insert,    // further fields of the head would stand here, before the next byte
    head,      // the head is complete: Message is final but for the sizes
    complete,  // the message is complete; consumes its last byte
    invalid,   // not this protocol, or a breach of it: this direction can't be followed any more
    ignored,   // legal, but nothing to follow from here on (a tunnel, a subscription)
};

struct Step {
    Verdict verdict;
    size_t consumed;  // of the input; the next call starts there
};

// The parser's memory of one direction. Trivially copyable, so that a caller can go back.
// `template <class S> S& as()` gives the protocol's own struct, which starts out zeroed.
struct ParserState {
    static constexpr size_t capacity = 80;
    alignas(8) uint8_t bytes[capacity] = {};

    template <class S>
    S& as() noexcept {
        static_assert(sizeof(S) <= capacity && alignof(S) <= 8 && __is_trivially_copyable(S));
        return *reinterpret_cast<S*>(bytes);
    }
    template <class S>
    const S& as() const noexcept {
        return const_cast<ParserState*>(this)->as<S>();
    }
};

// What the caller must know of the message that is being parsed. Reset by the parser at `begin`.
struct Message {
    uint64_t key = 0;         // correlates response and request; 0: answered in order
    uint32_t answer_hint = 0; // request: what the response's parser must know; private to the protocol
    uint32_t head_bytes = 0;  // so far
    uint16_t fields = 0;      // header fields so far
    bool interim = false;     // response: the real one is still to come (HTTP 1xx)
    bool push = false;        // answers nothing (server push, notification)
    bool one_way = false;     // request: no response will come
    bool error = false;       // response: reports a failure
    bool untouchable = false; // must not be rewritten (signed, ambiguous framing)
    bool telemetry = false;   // request: an export or a scrape of telemetry
    bool may_switch = false;  // request: asks for a switch of protocol; what follows it waits for
                              // the answer. The caller holds the request direction's parser.
    bool switched = false;    // response: the connection is a tunnel from here on
    uint64_t body_bytes = 0;  // payload seen so far, without framing
};

// Text that goes onto the span: the filtered, redacted head. Bounded; data == nullptr records
// nothing. The memory may be shared with others: it is written, never read back.
struct Capture {
    uint8_t* data = nullptr;
    uint16_t size = 0;
    uint16_t limit = 0;
    bool cut = false;

    void append(ByteView v) noexcept {
        if (data == nullptr) return;
        size_t room = static_cast<size_t>(limit - size);
        if (v.size > room) {
            cut = true;
            v.size = room;
        }
        memcpy(data + size, v.data, v.size);
        size = static_cast<uint16_t>(size + v.size);
    }
    void append(char c) noexcept { append(ByteView{&c, 1}); }
};

// A piece of a propagation field (traceparent: ..., one line of it). Offsets count in the input of
// this call. line_begin and line_end are `nowhere` where the line began in earlier input or goes on
// in later input.
struct FieldPiece {
    static constexpr size_t nowhere = ~size_t{0};
    PropagationField field = PropagationField::none;
    bool begins = false;  // this is the line's first piece
    bool ends = false;    // and this its last
    ByteView value;       // within the input, blanks and all, without the line end
    size_t line_begin = nowhere;  // of the field's name
    size_t line_end = nowhere;    // after the line's end
};

struct Parse {
    ParserState& state;
    Message& message;
    Capture& capture;
    MessageKind kind;
    // Responses: answer_hint of the request that is being answered; no request: answers_nothing.
    uint32_t answer_hint = 0;
    bool answers_nothing = false;
    const NamedFields* named = nullptr;  // whose values go into the capture, too; null: none
    FieldPiece field = {};  // set with Verdict::field
};

enum class Detection : uint8_t { no, maybe, yes };

struct Protocol {
    const char* name;  // the folder's: lower case, at most 15 characters
    bool serves;       // makes SERVER spans
    bool calls;        // makes CLIENT spans
    bool injects;      // heads have an insert point and carry propagation fields
    bool batches;      // requests of one write are one exchange (a pipeline)

    // May what a client says first be this protocol? `maybe` asks for more bytes; after 24 bytes
    // it must be yes or no.
    Detection (*detect)(ByteView first_bytes) noexcept;

    Step (*parse)(Parse& parse, ByteView input) noexcept;

    // How many bytes from here are body that the parser needs not see; 0: none, UINT64_MAX: all
    // until the end of the stream.
    uint64_t (*body_left)(const ParserState& state) noexcept;
    // Passes over `count` <= body_left() bytes. `complete` where they end the message.
    Verdict (*skip)(ParserState& state, Message& message, uint64_t count) noexcept;
    // The stream ended: complete (it ended the message), partial (between messages), or invalid
    // (within one).
    Verdict (*finish)(ParserState& state, Message& message) noexcept;

    // injects: writes one whole field ("traceparent: 00-...\r\n"), returns its size; 0: no room.
    size_t (*write_field)(PropagationField field, ByteView value, char* out, size_t capacity) noexcept;
    // injects: at the insert point, may `extra` bytes in `fields` lines be added? -1: yes, else
    // the enum remora_loss why not.
    int (*refuse_insert)(const Message& message, size_t extra, unsigned fields) noexcept;
};

struct ProtocolList {
    const Protocol* const* data;
    size_t size;
};
// All of them, in alphabetical order; generated from the folders' names.
ProtocolList protocols() noexcept;
const Protocol* find_protocol(ByteView name) noexcept;

}  // namespace remora
