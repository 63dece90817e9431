// SPDX-License-Identifier: Apache-2.0
// The decision on one exchange: whose child it is, its ids, whether it is sampled. Made once,
// before the first byte that carries it goes out (design, principle 4), and never taken back.
#include "preload/exchange_life.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

IdGenerator& thread_ids() noexcept {
    ThreadState& thread = thread_state;
    if (__builtin_expect(!thread.ids.seeded() || thread.epoch != process_epoch(), 0)) {
        seed_ids(thread.ids);  // a forked child must not repeat its parent's ids
        thread.epoch = process_epoch();
    }
    return thread.ids;
}

// OTEL_SDK_DISABLED: nothing is recorded and no ids are drawn; what came in is handed on.
void hand_on(Exchange& exchange, const SpanContext& context) noexcept {
    exchange.context = context;
    exchange.decided = true;
}

// Telemetry makes no telemetry: the exports of an SDK in here are not recorded, and no header is
// added to them. What a request that is not recorded came with is still handed on.
bool is_left_out(const Direction& direction) noexcept {
    return __builtin_expect(direction.message.telemetry, 0) &&
           (switches() & REMORA_SWITCH_TRACE_TELEMETRY) == 0;
}

void leave_out(Exchange& exchange, const SpanContext& context) noexcept {
    if (exchange.slot) {
        discard_slot(exchange.slot);
        exchange.slot = SlotRef{};
        count_loss(REMORA_LOSS_own_telemetry);
    }
    hand_on(exchange, context);
}

// Without a slot nobody will ever hear of the span: its flags must not promise it.
void draw_ids(Exchange& exchange, const SpanContext* parent) noexcept {
    IdGenerator& ids = thread_ids();
    const TraceId trace_id = parent != nullptr ? parent->trace_id : ids.trace_id();
    const bool sampled = current_sampler().decide(parent, trace_id);
    if (!sampled) {
        discard_slot(exchange.slot);
        exchange.slot = SlotRef{};
    }
    exchange.context.trace_id = trace_id;
    exchange.context.span_id = ids.span_id();
    exchange.context.flags =
        static_cast<uint8_t>((exchange.slot ? flag_sampled : 0) |
                             (parent != nullptr ? parent->flags & flag_random : flag_random));
    if (parent != nullptr) exchange.parent = parent->span_id;
    exchange.decided = true;
}

void record_decision(Exchange& exchange) noexcept {
    if (!exchange.slot) return;
    remora_exchange& record = exchange.slot.slot()->exchange;
    memcpy(record.span_id, exchange.context.span_id.bytes, sizeof(record.span_id));
    memcpy(record.parent_id, exchange.parent.bytes, sizeof(record.parent_id));
    record.trace_flags = exchange.context.flags;
    record.join = exchange.join;
    record.request_size = exchange.request_captured;  // for a reader after our sudden death
    if (exchange.carries_context) record_tracestate(exchange);
    memcpy(record.trace_id, exchange.context.trace_id.bytes, sizeof(record.trace_id));
}

void decide_server(Conn& conn, const Direction& direction, uint32_t index) noexcept {
    Exchange& exchange = exchange_at(index);
    SpanContext incoming;
    const bool reads = (switches() & REMORA_SWITCH_NO_PROPAGATION) == 0;
    const bool remote = reads && conn.collector.context(incoming);
    if (conn.collector.invalid()) count_loss(REMORA_LOSS_trace_header_invalid);
    if (conn.collector.tracestate_dropped()) count_loss(REMORA_LOSS_tracestate_dropped);
    begin_change(exchange);
    if (remote) {
        exchange.origin = incoming.span_id;
        exchange.join = REMORA_JOIN_REMOTE;
        const ByteView tracestate = conn.collector.tracestate();
        if (tracestate.size > 0 && tracestate.size <= REMORA_TRACESTATE_MAX) {
            exchange.tracestate = conn.tracestate;
            exchange.tracestate_size = static_cast<uint16_t>(tracestate.size);
            // The collector may have left blanks in front: the buffer starts with the list itself.
            memmove(tracestate_at(exchange.tracestate), tracestate.data, tracestate.size);
            conn.tracestate = 0;
        }
    }
    const bool left_out = is_left_out(direction);
    if (left_out)
        leave_out(exchange, remote ? incoming : SpanContext{});
    else if (!recording())
        hand_on(exchange, remote ? incoming : SpanContext{});
    else
        draw_ids(exchange, remote ? &incoming : nullptr);
    end_change(exchange);
    if (left_out || !recording()) return;
    list_live_span(index);
    record_decision(exchange);
}

void copy_tracestate(Exchange& exchange, const ContextSnapshot& from) noexcept {
    if (from.tracestate_size == 0) return;
    exchange.tracestate = allocate_tracestate();
    if (exchange.tracestate == 0) return count_loss(REMORA_LOSS_tracestate_dropped);
    exchange.tracestate_size = from.tracestate_size;
    memcpy(tracestate_at(exchange.tracestate), from.tracestate, from.tracestate_size);
}

void decide_client(Conn& conn, const Direction& direction, uint32_t index) noexcept {
    Exchange& exchange = exchange_at(index);
    if (is_left_out(direction)) {
        begin_change(exchange);
        leave_out(exchange, SpanContext{});
        return end_change(exchange);
    }
    Parent parent;
    find_parent(conn.collector, parent);
    begin_change(exchange);
    exchange.join = static_cast<uint8_t>(parent.join);
    if (parent.known()) copy_tracestate(exchange, parent.snapshot);
    if (!recording())
        hand_on(exchange, parent.snapshot.context);
    else
        draw_ids(exchange, parent.known() ? &parent.snapshot.context : nullptr);
    end_change(exchange);
    record_decision(exchange);
}

}  // namespace

void record_tracestate(Exchange& exchange) noexcept {
    if (!exchange.slot || exchange.recorded_tracestate != 0) return;
    if (exchange.tracestate_size == 0 || exchange.tracestate == 0) return;
    remora_slot* slot = exchange.slot.slot();
    memcpy(slot->payload + exchange.opening_recorded + exchange.request_captured,
           tracestate_at(exchange.tracestate), exchange.tracestate_size);
    exchange.recorded_tracestate = exchange.tracestate_size;
    slot->exchange.tracestate_size = exchange.tracestate_size;
}

void decide_connect(Exchange& exchange) noexcept {
    Parent parent;
    find_parent(parent);
    begin_change(exchange);
    exchange.join = static_cast<uint8_t>(parent.join);
    if (parent.known()) copy_tracestate(exchange, parent.snapshot);
    draw_ids(exchange, parent.known() ? &parent.snapshot.context : nullptr);
    end_change(exchange);
    record_decision(exchange);
}

void decide(Conn& conn, Direction& direction, Call& call) noexcept {
    const uint32_t index = direction.current;
    if (index == 0 || direction.kind != MessageKind::request) return;
    if (!exchange_at(index).decided) {
        if (conn.role == REMORA_ROLE_SERVER)
            decide_server(conn, direction, index);
        else
            decide_client(conn, direction, index);
    } else if (exchange_at(index).inserted) {
        return;
    }
    if (call.insert_at == FieldPiece::nowhere || call.replaying || is_left_out(direction)) return;
    if (call.edits != nullptr)
        plan_edits(conn, direction, index, call);
    else if (call.refusal != REMORA_LOSS_COUNT)
        count_loss(call.refusal);
}

}  // namespace remora::shim
