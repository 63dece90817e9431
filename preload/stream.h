// SPDX-License-Identifier: Apache-2.0
// From bytes to exchanges: what passes in one direction of a connection is fed to the protocol's
// parser, and messages become exchanges. Knows nothing of sockets and calls: the same code serves
// plain sockets and TLS.
//
// Everything here is called by the owner of the direction (enter/leave in conn.h), keeps errno
// untouched unless said otherwise, and neither allocates nor locks.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "preload/conn.h"
#include "preload/exchange.h"
#include "preload/rewrite.h"

namespace remora::shim {

// The trace lines of one head, as far as they stand in the bytes of one call.
struct HeadLines {
    static constexpr unsigned max_lines = 4;
    struct Line {
        size_t begin, end;  // in the call's bytes, with name and line end
        size_t value;       // the first byte of the trimmed value
        size_t value_size;
    };
    Line lines[max_lines];
    PropagationField fields[max_lines];
    unsigned count = 0;
    bool outside = false;  // a line began or ended in another call, or there are more than max_lines

    void clear() {  // without touching the lines: this is done for every message
        count = 0;
        outside = false;
    }
};

// Beyond this many unanswered requests a connection is no longer followed.
constexpr uint32_t max_open_exchanges = 512;

// One hooked call while it is looked at. On the hook's stack.
struct Call {
    int fd = -1;
    EditList* edits = nullptr;  // nullptr: only watch, nothing can be rewritten
    remora_loss refusal = REMORA_LOSS_COUNT;  // then: why, where that is worth a count
    size_t room = 0;            // by how much edits may lengthen the bytes
    bool may_shrink = true;     // or may edits only lengthen them?
    bool identity_fresh = false;  // which socket it is was learned in this very call
    bool same_size_only = false;  // edits must not move bytes (read into several buffers)
    HeadLines lines;            // of the head that is open
    bool lines_earlier = false; // feeding bytes of an earlier call: no offset is valid
    uint32_t begun_first = 0;   // exchanges begun in this call
    uint32_t begun_last = 0;
    bool planning = false;      // the kernel does not have the bytes yet: keep_plan or go_back follows
    bool replaying = false;     // second pass over the bytes that the kernel took
    uint32_t replay = 0;        // then: the exchange of the first pass that comes next
    const EditList* removed = nullptr;  // then: lines among its first `removed_count` are not on the
    unsigned removed_count = 0;         // wire
    size_t insert_at = FieldPiece::nowhere;  // where the open head's next line would stand
    uint64_t time = 0;

    uint64_t now() noexcept;  // CLOCK_MONOTONIC, asked once
    [[nodiscard]] bool line_was_removed(size_t base, const FieldPiece& piece) const noexcept;
};

// May these bytes, the next of a fresh connection, be the first of a protocol of ours, or of too few
// to tell? Only looks.
bool may_begin_message(const Conn& conn, ByteView bytes) noexcept;
// May a request's head begin or be open in `total` bytes that the program is about to send, and that
// begin with `first`?
bool head_may_go_out(const Conn& conn, ByteView first, size_t total) noexcept;
// May the head of a request begin or go on in what the program reads next?
bool head_may_come(const Conn& conn) noexcept;
// Looks at bytes that moved, or are about to. `base` is where they stand in the call.
void feed(Conn& conn, unsigned direction, ByteView bytes, size_t base, Call& call) noexcept;
// After the last feed() of a call.
void call_ends(Conn& conn, unsigned direction, const Call& call) noexcept;
// Bytes that moved unseen (sendfile, splice).
void feed_unseen(Conn& conn, unsigned direction, uint64_t count, Call& call) noexcept;
// The stream ended in this direction: read returned 0, or the program shut it down.
void end_of_stream(Conn& conn, unsigned direction, Call& call) noexcept;
// A call failed for good (not EAGAIN, EINTR).
void call_failed(Conn& conn, unsigned direction, int error_number) noexcept;
// Cleanup, with both directions owned: ends what is still open.
void finish_open_exchanges(Conn& conn, bool closed) noexcept;

// --- going back, for calls that send: the bytes are fed before the kernel says how many it takes ---
struct Checkpoint {
    DirectionState direction;
    ContextCollector collector;
    const Protocol* protocol;
    uint32_t sequence;
    Follow follow;
    uint8_t role;
    uint8_t prefix_size;
    bool held;
    MessageKind other_kind;
    // Of the exchange whose head or body goes on in this call.
    uint16_t request_captured;
    uint64_t request_bytes;
    uint64_t request_body_bytes;
};
void save(const Conn& conn, unsigned direction, Checkpoint& out) noexcept;
// The kernel took it all: requests that were planned to be complete are.
void keep_plan(Conn& conn, const Checkpoint& saved, Call& call) noexcept;
// Back to the checkpoint; exchanges begun since stay queued for a replay. Then feed() what was taken
// and call end_replay().
void go_back(Conn& conn, unsigned direction, const Checkpoint& saved, Call& call) noexcept;
void end_replay(Conn& conn, Call& call) noexcept;

// --- parent rule 3 (parent.cc) -------------------------------------------------------------------
// Does the request that this thread serves still wait for its answer?
bool thread_serves_open_request() noexcept;

}  // namespace remora::shim
