// SPDX-License-Identifier: Apache-2.0
// The life of an exchange: begun with its first byte, decided (parent, ids, sampling) when its head
// is known, recorded, finished. Called by the owner of a direction; see stream.h.
#pragma once

#include "preload/stream.h"

namespace remora::shim {

// A request begins: a new exchange at the end of the queue, or the pipeline that it joins.
void begin_request(Conn& conn, Direction& direction, Call& call) noexcept;
// At the insert point, or where there is none at the end of the head: finds the parent, draws ids,
// samples, and plans the edits that carry the context (rewrite.cc).
void decide(Conn& conn, Direction& direction, Call& call) noexcept;
// The same for the span of a connect, which no head carries (connect_span.cc). Not sampled: it has no
// slot any more.
void decide_connect(Exchange& exchange) noexcept;
void request_head(Conn& conn, Direction& direction) noexcept;
void request_complete(Conn& conn, Direction& direction, Call& call) noexcept;
// A response begins: direction.current becomes the exchange that it answers, or 0.
void begin_response(Conn& conn, Direction& direction, Call& call) noexcept;
void response_complete(Conn& conn, Direction& direction, Call& call) noexcept;
// Takes it out of the queue and hands its record over.
void finish_exchange(Conn& conn, uint32_t index, remora_end end, int error_number,
                     uint64_t now) noexcept;
// It never was: nothing of it went out.
void drop_exchange(Conn& conn, uint32_t index) noexcept;
// The same for one that was planned and that the kernel did not take; false: the peer answers it
// all the same, it stays.
bool withdraw_exchange(Conn& conn, uint32_t index) noexcept;
// What request_complete() put off while it was only planned (Call::planning).
void settle_planned(Conn& conn, uint32_t index, Call& call) noexcept;
bool request_is_done(uint32_t index) noexcept;

// Where the parser's capture goes: the slot's payload, or nowhere. Inline: asked for every verdict.
//
// Opening, request text, tracestate, response text follow each other without gaps, so the request's
// text is closed once the tracestate stands behind it or the response has begun.
inline Capture capture_of(MessageKind kind, const Exchange* exchange) noexcept {
    Capture capture;
    if (exchange == nullptr || !exchange->slot) return capture;
    uint8_t* payload = exchange->slot.slot()->payload;
    if (kind == MessageKind::request) {
        if (exchange->decided && exchange->carries_context) return capture;
        capture.data = payload + exchange->opening_recorded;
        capture.size = exchange->request_captured;
        capture.limit = REMORA_REQUEST_CAPTURE_MAX;
        if (exchange->progress.load(std::memory_order_relaxed) & progress_response_begun)
            capture.limit = capture.size;
    } else {
        const unsigned before =
            exchange->opening_recorded + exchange->request_captured + exchange->recorded_tracestate;
        capture.data = payload + before;
        capture.size = exchange->response_captured;
        capture.limit = static_cast<uint16_t>(REMORA_PAYLOAD_MAX - before);
    }
    return capture;
}
inline void keep_capture(Direction& direction, Exchange& exchange,
                         const Capture& capture) noexcept {
    const bool request = direction.kind == MessageKind::request;
    (request ? exchange.request_captured : exchange.response_captured) = capture.size;
    if (!capture.cut || direction.cut) return;
    direction.cut = true;
    exchange.marks |= request ? REMORA_MARK_REQUEST_CUT : REMORA_MARK_RESPONSE_CUT;
    count_loss(REMORA_LOSS_capture_cut);
}
// Bytes of the current message moved.
inline void count_bytes(MessageKind kind, Exchange& exchange, uint64_t bytes) noexcept {
    (kind == MessageKind::request ? exchange.request_bytes : exchange.response_bytes) += bytes;
}
// Copies its tracestate behind the request's text in its record, once.
void record_tracestate(Exchange& exchange) noexcept;
// Tells the agent that the connection is not idle.
void touch_activity(Conn& conn, Direction& direction, Call& call) noexcept;

// --- rewrite.cc
// ------------------------------------------------------------------------------------ Plans the
// edits by which the head that is open comes to carry `exchange`'s context; counts why not.
void plan_edits(Conn& conn, Direction& direction, uint32_t exchange, Call& call) noexcept;

// The fields that carry the exchange's context, whole lines; always the same text for one exchange.
unsigned write_fields(const Conn& conn, const Exchange& exchange, char* out,
                      size_t capacity) noexcept;

// --- parent.cc
// -------------------------------------------------------------------------------------
struct Parent {
    ContextSnapshot snapshot;
    remora_join join = REMORA_JOIN_ROOT;
    [[nodiscard]] bool known() const { return snapshot.context.valid(); }
};
// Whose child is an outgoing request? Design, section 4; `head` is what the head itself carries.
void find_parent(const ContextCollector& head, Parent& out) noexcept;
// The same for what sends no head, and may come to nothing: nothing is counted, and who tells of it
// calls note_referenced() where the process span is the parent.
void find_parent(Parent& out) noexcept;
// Rule 3 alone, for programs that are started while a request is served.
bool thread_context(ContextSnapshot& out) noexcept;
// The head of a request has been read whole by this thread.
void serve_on_this_thread(Conn& conn, Exchange& exchange) noexcept;

}  // namespace remora::shim
