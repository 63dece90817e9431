// SPDX-License-Identifier: Apache-2.0
// Which bytes of a head give way so that it carries the exchange's context. Any doubt leaves the
// head as it is, with a counted reason.
#include "preload/rewrite.h"

#include "preload/exchange_life.h"
#include "preload/process_state.h"
#include "preload/session.h"

namespace remora::shim {
namespace {

struct Planner {
    Conn& conn;
    Direction& direction;
    Exchange& exchange;
    uint32_t index;
    Call& call;

    [[nodiscard]] bool lines_outside() const {
        return call.lines.outside || direction.lines_passed;
    }
    [[nodiscard]] bool server() const { return conn.role == REMORA_ROLE_SERVER; }
    EditList& edits() { return *call.edits; }
    ContextCollector& head() { return conn.collector; }

    void refuse(remora_loss reason) { count_loss(reason); }

    // Only now is the descriptor's socket asked for: once per head that is really rewritten.
    bool may_edit() {
        const size_t first = call.lines.count > 0 ? call.lines.lines[0].begin : call.insert_at;
        if (server() && first < conn.peeked) return refuse(REMORA_LOSS_not_injected_peek), false;
        if (call.fd < 0 || call.identity_fresh || identity_certain(conn, call.fd)) return true;
        // The number is another socket's now: what is being parsed is not what it seems.
        refuse(REMORA_LOSS_not_injected_identity);
        abandon(conn, REMORA_END_UNFOLLOWED, 0);
        return false;
    }

    [[nodiscard]] bool fits(ptrdiff_t growth) const {
        if (growth == 0) return true;
        const ptrdiff_t delta = call.edits->delta() + growth;
        if (server() && conn.counted > 0) return false;
        if (delta < 0) return call.may_shrink;
        return growth < 0 || static_cast<size_t>(delta) <= call.room;
    }

    // Of the lines of this field, or of both.
    [[nodiscard]] ptrdiff_t size_of_lines(bool only_tracestate) const {
        ptrdiff_t sum = 0;
        for (unsigned i = 0; i < call.lines.count; ++i) {
            if (only_tracestate && call.lines.fields[i] != PropagationField::tracestate) continue;
            sum += static_cast<ptrdiff_t>(call.lines.lines[i].end - call.lines.lines[i].begin);
        }
        return sum;
    }

    [[nodiscard]] bool has_places(size_t text) {
        if (edits().room(text, 1 + call.lines.count)) return true;
        refuse(REMORA_LOSS_not_injected_no_room);
        return false;
    }

    // The line that carries a valid traceparent comes to name our span.
    void replace() {
        const HeadLines::Line* line = nullptr;
        for (unsigned i = 0; i < call.lines.count; ++i)
            if (call.lines.fields[i] == PropagationField::traceparent) line = &call.lines.lines[i];
        if (line == nullptr || lines_outside())
            return refuse(REMORA_LOSS_not_injected_split);
        char value[traceparent_size];
        write_traceparent(exchange.context, value);
        // Version 00 keeps its size: only the span's id and the flags give way. A higher version is
        // answered with ours, and its further fields go (Level 2, 4.3).
        const bool same_size = line->value_size == traceparent_size;
        const ptrdiff_t growth = static_cast<ptrdiff_t>(traceparent_size) -
                                 static_cast<ptrdiff_t>(line->value_size);
        if (!same_size && call.same_size_only) return refuse(REMORA_LOSS_not_injected_gather);
        if (!fits(growth)) return refuse(REMORA_LOSS_not_injected_no_room);
        if (!has_places(traceparent_size) || !may_edit()) return;
        edits().add(line->value, line->value_size, {value, traceparent_size}, index, false);
        exchange.marks |= server() ? REMORA_MARK_REWRITTEN : REMORA_MARK_REPLACED;
        // A list that breaks the rules is dropped as a whole.
        if (server() && head().tracestate_dropped() && !call.same_size_only &&
            fits(-size_of_lines(true)))
            remove_lines(PropagationField::tracestate);
    }

    void remove_lines(PropagationField field) {
        for (unsigned i = 0; i < call.lines.count; ++i) {
            if (call.lines.fields[i] != field) continue;
            const HeadLines::Line& line = call.lines.lines[i];
            edits().add(line.begin, line.end - line.begin, {}, index, false);
        }
    }

    // No valid traceparent: invalid lines go, and with them a tracestate, which means nothing without
    // one (Level 2, 3.3); ours is added.
    void insert() {
        if (server() && (switches() & REMORA_SWITCH_NO_INGRESS_INSERT)) return;
        if (lines_outside()) return refuse(REMORA_LOSS_not_injected_split);
        if (call.same_size_only) return refuse(REMORA_LOSS_not_injected_gather);
        char text[EditList::storage_size / 2];
        const unsigned size = write_fields(conn, exchange, text, sizeof(text));
        if (size == 0) return;
        const unsigned fields = exchange.tracestate_size > 0 && !server() ? 2 : 1;
        const int refusal = conn.protocol->refuse_insert(direction.message, size, fields);
        if (refusal >= 0) return refuse(static_cast<remora_loss>(refusal));
        const ptrdiff_t growth = static_cast<ptrdiff_t>(size) - size_of_lines(false);
        if (!fits(growth)) return refuse(REMORA_LOSS_not_injected_no_room);
        if (!has_places(size) || !may_edit()) return;
        remove_lines(PropagationField::traceparent);
        remove_lines(PropagationField::tracestate);
        edits().add(call.insert_at, 0, {text, size}, index, true);
        exchange.marks |= server() ? REMORA_MARK_REWRITTEN : REMORA_MARK_INJECTED;
    }
};

}  // namespace

size_t apply_edits(const EditList& edits, uint8_t* data, size_t size) noexcept {
    ptrdiff_t shift = 0;
    for (unsigned i = 0; i < edits.count; ++i) {
        const Edit& edit = edits.edits[i];
        uint8_t* at = data + static_cast<ptrdiff_t>(edit.at) + shift;
        const size_t behind = size - (edit.at + edit.remove);
        if (edit.text_size != edit.remove) memmove(at + edit.text_size, at + edit.remove, behind);
        memcpy(at, edits.storage + edit.text, edit.text_size);
        shift += static_cast<ptrdiff_t>(edit.text_size) - static_cast<ptrdiff_t>(edit.remove);
    }
    return static_cast<size_t>(static_cast<ptrdiff_t>(size) + shift);
}

unsigned write_fields(const Conn& conn, const Exchange& exchange, char* out,
                      size_t capacity) noexcept {
    char value[traceparent_size];
    write_traceparent(exchange.context, value);
    const Protocol& protocol = *conn.protocol;
    size_t size = protocol.write_field(PropagationField::traceparent, {value, traceparent_size},
                                       out, capacity);
    // What a server is handed keeps the tracestate lines that it came with.
    if (size > 0 && exchange.tracestate_size > 0 && exchange.role == REMORA_ROLE_CLIENT)
        size += protocol.write_field(
            PropagationField::tracestate,
            {tracestate_at(exchange.tracestate), exchange.tracestate_size}, out + size,
            capacity - size);
    return static_cast<unsigned>(size);
}

void plan_edits(Conn& conn, Direction& direction, uint32_t index, Call& call) noexcept {
    if (!conn.protocol->injects || conn.opaque.load(std::memory_order_relaxed)) return;
    if (switches() & REMORA_SWITCH_NO_PROPAGATION) return;
    Planner plan{conn, direction, exchange_at(index), index, call};
    if (!plan.exchange.context.valid()) return;  // OTEL_SDK_DISABLED, and nothing came in
    if (!plan.server() && (switches() & REMORA_SWITCH_NO_INJECT)) return;
    if (direction.message.untouchable)
        return plan.refuse(REMORA_LOSS_not_injected_untouchable);
    SpanContext carried;
    if (!plan.head().context(carried)) {
        if (plan.server() && !recording()) return;
        return plan.insert();
    }
    const bool ours = plan.exchange.join == REMORA_JOIN_HEADER ||
                      plan.exchange.join == REMORA_JOIN_ORIGIN;
    if (recording() && (plan.server() || ours)) plan.replace();
}

}  // namespace remora::shim
