// SPDX-License-Identifier: Apache-2.0
// An open exchange as the shim knows it: everything that must not be read back from the lanes,
// which others can write. Objects come from a pool, are reused and never unmapped.
//
// Ownership: created and changed by whoever holds the request direction of its connection until the
// request is complete, and by the holder of the response direction after that. Other threads may
// only take snapshots (context_snapshot), which `version` makes safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "agent/context/span_context.h"
#include "bpf/abi/record.h"
#include "preload/lane_writer.h"

namespace remora::shim {

enum Progress : uint8_t {
    progress_request_done = 1,
    progress_response_begun = 2,
    progress_response_done = 4,
};

struct Exchange {
    std::atomic<uint32_t> version{0};  // odd while being changed; see context_snapshot
    uint32_t next = 0;                 // in its connection's queue
    SpanContext context;               // its own span: valid() once decided
    SpanId parent;
    SpanId origin;               // the span id that came in, as a key of parent rule 1
    SlotRef slot{};              // has a record while slot.lane != nullptr
    uint32_t tracestate = 0;     // pool buffer, 0: none
    uint16_t tracestate_size = 0;
    uint16_t marks = 0;
    uint16_t opening_recorded = 0;  // bytes in front of the slot's payload
    uint16_t request_captured = 0;  // bytes in the slot's payload
    uint16_t response_captured = 0;
    uint16_t recorded_tracestate = 0;  // and between the two
    std::atomic<const void*> reader{nullptr};  // server: the thread that read its head
    uint64_t key = 0;            // that the answer will carry; 0: answered in order
    uint32_t answer_hint = 0;
    uint32_t batch = 1;     // messages that were pipelined into it
    uint32_t answered = 0;  // of them
    uint32_t sequence = 0;
    std::atomic<uint8_t> progress{0};  // Progress
    uint8_t role = 0;
    uint8_t join = 0;
    bool decided = false;    // ids and sampling are final
    bool inserted = false;   // its trace fields are (partly) on the wire
    bool listed = false;     // in the table of live spans
    bool origin_listed = false;
    bool origin_unlisted = false;  // no place was free for it
    bool may_switch = false;
    bool one_way = false;          // no answer will come
    bool request_planned = false;  // complete once the kernel has taken what it is being given
    bool carries_context = false;  // its protocol has propagation fields: the head's end is known
    uint64_t start_ns = 0;
    uint64_t response_end_ns = 0;  // last byte of the answer; 0: still open
    uint64_t request_bytes = 0;
    uint64_t request_body_bytes = 0;
    uint64_t response_bytes = 0;
    uint64_t response_body_bytes = 0;
};

// Index 0 is nobody. nullptr / 0 when the pool can't grow.
uint32_t allocate_exchange() noexcept;
void free_exchange(uint32_t index) noexcept;
Exchange& exchange_at(uint32_t index) noexcept;  // index came from allocate_exchange
// A new life: everything as at first, within a change that end_change() ends.
void reset_exchange(Exchange& exchange) noexcept;
// Nobody finds it any more, and it may begin a new life.
void retire(uint32_t index) noexcept;

// What others may know of an open exchange: a consistent copy.
struct ContextSnapshot {
    SpanContext context;
    uint16_t tracestate_size = 0;
    char tracestate[REMORA_TRACESTATE_MAX];
};
// The exchange at this index, if it is decided and open and `reader` (the address of a thread_state)
// read its head; false otherwise.
bool snapshot_exchange(uint32_t index, const void* reader, ContextSnapshot& out) noexcept;
bool read_by(uint32_t index, const void* reader) noexcept;
// Opens and closes a change that snapshots must not see half-done.
void begin_change(Exchange& exchange) noexcept;
void end_change(Exchange& exchange) noexcept;

// --- tracestate buffers: REMORA_TRACESTATE_MAX bytes each -------------------------------------
uint32_t allocate_tracestate() noexcept;  // 0: none left
void free_tracestate(uint32_t index) noexcept;
char* tracestate_at(uint32_t index) noexcept;

// --- the rest of a text that the kernel took in part ----------------------------------------------
constexpr size_t pending_text_max = 640;  // traceparent and tracestate lines
uint32_t allocate_pending_text() noexcept;
void free_pending_text(uint32_t index) noexcept;
char* pending_text_at(uint32_t index) noexcept;

// --- the server spans that are open in this process ---------------------------------------------
// Lock-free, fixed size; an entry that finds no place only costs parent rule 1 its answer.
void list_live_span(uint32_t index) noexcept;
void unlist_live_span(uint32_t index) noexcept;

enum class Match : uint8_t { none, one, several };
// The open server span with this very id, of this trace.
Match find_live_span(const TraceId& trace, const SpanId& span, ContextSnapshot& out) noexcept;
// The open server spans that came in with this very context.
Match find_live_origin(const TraceId& trace, const SpanId& parent, ContextSnapshot& out) noexcept;

// A forked child starts without its parent's spans.
void forget_live_spans() noexcept;

}  // namespace remora::shim
