// SPDX-License-Identifier: Apache-2.0
#include "preload/exchange_life.h"

#include <ctime>

#include "preload/opening.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

remora_exchange& record_of(const Exchange& exchange) noexcept {
    return exchange.slot.slot()->exchange;
}

// The queue: see hold_queue. Both return false when the connection has become opaque instead.
bool enqueue(Conn& conn, uint32_t index) noexcept {
    if (!hold_queue(conn)) return false;
    if (conn.last != 0)
        exchange_at(conn.last).next = index;
    else
        conn.first = index;
    conn.last = index;
    ++conn.open;
    release_queue(conn);
    return true;
}

// The caller holds the queue.
void unlink(Conn& conn, uint32_t index) noexcept {
    uint32_t before = 0;
    uint32_t at = conn.first;
    for (unsigned i = 0; at != 0 && at != index && i <= max_open_exchanges; ++i) {
        before = at;
        at = exchange_at(at).next;
    }
    if (at == index && at != 0) {
        const uint32_t next = exchange_at(index).next;
        if (before == 0)
            conn.first = next;
        else
            exchange_at(before).next = next;
        if (conn.last == index) conn.last = before;
        --conn.open;
    }
}

bool unqueue(Conn& conn, uint32_t index) noexcept {
    if (!hold_queue(conn)) return false;
    unlink(conn, index);
    release_queue(conn);
    return true;
}

void tell_opening(Conn& conn, const Exchange& exchange) noexcept {
    if (exchange.sequence != 0) return;
    opening_told(conn, exchange.opening_recorded == 0 || !exchange.slot
                           ? nullptr
                           : exchange.slot.slot()->payload);
}

// The request is all with the kernel, or all with the program.
void settle_request(Conn& conn, uint32_t index, Call& call) noexcept {
    Exchange& exchange = exchange_at(index);
    if (exchange.slot)
        __atomic_store_n(&record_of(exchange).request_end_ns, call.now(), __ATOMIC_RELAXED);
    tell_opening(conn, exchange);
    if (exchange.one_way) return finish_exchange(conn, index, REMORA_END_COMPLETE, 0, call.now());
    // The answer may have come before the request was whole: then the exchange ends now.
    if (exchange.progress.fetch_or(progress_request_done, std::memory_order_acq_rel) &
        progress_response_done)
        finish_exchange(conn, index, REMORA_END_COMPLETE, 0, call.now());
}

// A fresh exchange with its slot, not yet in the queue. 0: the pool is exhausted.
uint32_t make_exchange(Conn& conn, Call& call) noexcept {
    const uint32_t index = allocate_exchange();
    if (index == 0) return 0;
    Exchange& exchange = exchange_at(index);
    reset_exchange(exchange);
    exchange.sequence = conn.sequence++;
    exchange.role = conn.role;
    exchange.carries_context = conn.protocol->injects;
    if (conn.tls.inside) exchange.marks |= REMORA_MARK_TLS;
    exchange.start_ns = call.now();
    // A connection that was opened for this exchange: the wait for it belongs to the span.
    if (exchange.sequence == 0 && conn.role == REMORA_ROLE_CLIENT) {
        const uint64_t began = opening_began(conn, call.now());
        if (began != 0) {
            exchange.start_ns = began;
            exchange.marks |= REMORA_MARK_NEW_CONNECTION;
        }
    }
    end_change(exchange);
    return index;
}

// Asked for at the first byte and once more at the end: the first request may be what starts the
// handshake.
void write_tls(const Conn& conn, const Exchange& exchange, remora_exchange& record) noexcept {
    record.marks = exchange.marks;
    record.tls_version = conn.tls.version;
    record.tls_cipher = conn.tls.cipher;
    record.tls_resumed = conn.tls.resumed ? 1 : 0;
    memcpy(record.alpn, conn.tls.alpn, sizeof(record.alpn));
}

// The slot is reserved before any id goes out, and before it is known whether the request will be
// sampled: the head's text has to go somewhere.
void open_record(Conn& conn, Exchange& exchange, Call& call) noexcept {
    if (!recording()) return;
    exchange.slot = reserve_slot(call.now());
    if (!exchange.slot) return;
    remora_exchange& record = record_of(exchange);
    const char* name = conn.protocol->name;
    for (unsigned i = 0; i + 1 < sizeof(record.protocol) && name[i] != 0; ++i)
        record.protocol[i] = name[i];
    record.connection = conn.serial;
    record.role = exchange.role;
    record.sequence = exchange.sequence;
    record.start_ns = exchange.start_ns;
    record.activity_ns = call.now();
    record.thread = current_thread_id();
    if (!conn.peer_known && call.fd >= 0) learn_peer(conn, call.fd);
    record.peer = conn.peer;
    if (conn.tls.inside) write_tls(conn, exchange, record);
    if ((exchange.marks & REMORA_MARK_NEW_CONNECTION) == 0) return;
    exchange.opening_recorded = record_opening(conn, exchange.slot.slot()->payload, call.now());
    record.opening_size = exchange.opening_recorded;
}

void start_collecting(Conn& conn) noexcept {
    // A client's tracestate stays in the program's own bytes: only a server's is carried on.
    if (conn.role == REMORA_ROLE_SERVER && conn.tracestate == 0 && conn.protocol->injects)
        conn.tracestate = allocate_tracestate();
    conn.collector.start(tracestate_at(conn.tracestate),
                         conn.tracestate == 0 ? 0 : REMORA_TRACESTATE_MAX);
}

void write_record(Conn& conn, Exchange& exchange, remora_end end, int error_number,
                  uint64_t now) noexcept {
    remora_exchange& record = record_of(exchange);
    record.request_bytes = exchange.request_bytes;
    record.request_body_bytes = exchange.request_body_bytes;
    record.response_bytes = exchange.response_bytes;
    record.response_body_bytes = exchange.response_body_bytes;
    record.batch = exchange.batch;
    record.request_size = exchange.request_captured;
    record.response_size = exchange.response_captured;
    record.marks = exchange.marks;
    record.error_number = error_number;
    record.peer = conn.peer;
    if (conn.tls.inside) write_tls(conn, exchange, record);
    record.end = static_cast<uint8_t>(end);
    record.end_ns = exchange.response_end_ns != 0 ? exchange.response_end_ns : now;
}

}  // namespace

void touch_activity(Conn&, Direction& direction, Call& call) noexcept {
    if (direction.current == 0) return;
    const Exchange& exchange = exchange_at(direction.current);
    if (!exchange.slot) return;
    uint64_t now = call.time;
    if (now == 0) {  // good enough for an idle limit, and a fifth of the price
        timespec coarse;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse);
        now = static_cast<uint64_t>(coarse.tv_sec) * 1000000000u +
              static_cast<uint64_t>(coarse.tv_nsec);
    }
    __atomic_store_n(&record_of(exchange).activity_ns, now, __ATOMIC_RELAXED);
}

void begin_request(Conn& conn, Direction& direction, Call& call) noexcept {
    if (call.replaying && call.replay != 0) {
        // The same exchange as in the first pass: its ids may be on the wire already.
        const uint32_t index = call.replay;
        Exchange& exchange = exchange_at(index);
        const bool joins = conn.protocol->batches && call.begun_last != 0;
        if (!joins) {
            call.replay = exchange.next;
            exchange.batch = 1;
            exchange.sequence = conn.sequence++;
            if (!exchange.decided) exchange.request_captured = 0;
            exchange.request_bytes = exchange.request_body_bytes = 0;
            exchange.request_planned = false;
            direction.current = call.begun_last = index;
            if (call.begun_first == 0) call.begun_first = index;
            start_collecting(conn);
            return;
        }
    }
    if (conn.protocol->batches && call.begun_last != 0 && call.begun_last == conn.last) {
        direction.current = conn.last;
        ++exchange_at(conn.last).batch;
        return;
    }
    direction.current = 0;
    if (conn.open >= max_open_exchanges) {
        count_loss(REMORA_LOSS_pipeline_too_deep);
        return abandon(conn, REMORA_END_UNFOLLOWED, 0);
    }
    if (conn.cookie == 0 && conn.protocol->injects) {
        learn_identity(conn, call.fd);
        call.identity_fresh = conn.cookie != 0;  // 0: no socket at all, or nothing may be asked
    }
    const uint32_t index = make_exchange(conn, call);
    if (index == 0) {
        count_loss(REMORA_LOSS_connection_table_full);
        return abandon(conn, REMORA_END_UNFOLLOWED, 0);
    }
    open_record(conn, exchange_at(index), call);
    if (!enqueue(conn, index)) {
        discard_slot(exchange_at(index).slot);
        return free_exchange(index);
    }
    direction.current = call.begun_last = index;
    if (call.begun_first == 0) call.begun_first = index;
    start_collecting(conn);
}

void request_head(Conn& conn, Direction& direction) noexcept {
    if (conn.tracestate != 0) {  // an exchange that needs it has taken it
        free_tracestate(conn.tracestate);
        conn.tracestate = 0;
    }
    if (direction.current == 0) return;
    Exchange& exchange = exchange_at(direction.current);
    exchange.answer_hint = direction.message.answer_hint;
    exchange.key = direction.message.key;
    exchange.may_switch = direction.message.may_switch;
    if (conn.role == REMORA_ROLE_SERVER) serve_on_this_thread(conn, exchange);
}

void request_complete(Conn& conn, Direction& direction, Call& call) noexcept {
    const uint32_t index = direction.current;
    direction.current = 0;
    if (index == 0) return;
    Exchange& exchange = exchange_at(index);
    exchange.request_body_bytes += direction.message.body_bytes;
    exchange.one_way = direction.message.one_way;
    if (exchange.may_switch) conn.held = true;
    // As long as it isn't, nobody who reads the answer ends this exchange under the writer's feet.
    if (call.planning)
        exchange.request_planned = true;
    else
        settle_request(conn, index, call);
}

void settle_planned(Conn& conn, uint32_t index, Call& call) noexcept {
    Exchange& exchange = exchange_at(index);
    if (!exchange.request_planned) return;
    exchange.request_planned = false;
    settle_request(conn, index, call);
}

bool request_is_done(uint32_t index) noexcept {
    return (exchange_at(index).progress.load(std::memory_order_acquire) & progress_request_done) !=
           0;
}

void begin_response(Conn& conn, Direction& direction, Call& call) noexcept {
    direction.current = 0;
    if (direction.message.push || !hold_queue(conn)) return;
    uint32_t index = conn.first;
    const uint64_t key = direction.message.key;
    for (unsigned i = 0; index != 0 && i <= max_open_exchanges; ++i) {
        const Exchange& exchange = exchange_at(index);
        const bool answered =
            (exchange.progress.load(std::memory_order_relaxed) & progress_response_done) != 0;
        if (!answered && exchange.key == key) break;
        index = exchange.next;
    }
    // Said while the queue is held, so that a writer doesn't withdraw what we answer.
    const bool begun_before =
        index != 0 && (exchange_at(index).progress.fetch_or(progress_response_begun) &
                       progress_response_begun) != 0;
    release_queue(conn);
    direction.current = index;
    if (index == 0 || begun_before) return;  // an interim answer came before, or one of the batch
    Exchange& exchange = exchange_at(index);
    record_tracestate(exchange);
    if (exchange.slot)
        __atomic_store_n(&record_of(exchange).response_start_ns, call.now(), __ATOMIC_RELAXED);
}

void response_complete(Conn& conn, Direction& direction, Call& call) noexcept {
    const uint32_t index = direction.current;
    direction.current = 0;
    if (index == 0 || direction.message.interim) return;
    Exchange& exchange = exchange_at(index);
    exchange.response_body_bytes += direction.message.body_bytes;
    if (++exchange.answered < exchange.batch) return;
    conn.held = false;
    exchange.response_end_ns = call.now();
    if (exchange.progress.fetch_or(progress_response_done, std::memory_order_acq_rel) &
        progress_request_done)
        finish_exchange(conn, index, REMORA_END_COMPLETE, 0, call.now());
}

void finish_exchange(Conn& conn, uint32_t index, remora_end end, int error_number,
                     uint64_t now) noexcept {
    Exchange& exchange = exchange_at(index);
    if (!exchange.decided) return drop_exchange(conn, index);  // not even its head was seen
    tell_opening(conn, exchange);
    if (!unqueue(conn, index)) return;  // the connection is opaque now, its end ends this one too
    unlist_live_span(index);
    // Answered in full although the request never was: for the span that is complete.
    if (exchange.response_end_ns != 0) end = REMORA_END_COMPLETE;
    if (exchange.slot) {
        write_record(conn, exchange, end, end == REMORA_END_ERROR ? error_number : 0, now);
        finish_slot(exchange.slot);
    }
    retire(index);
}

void drop_exchange(Conn& conn, uint32_t index) noexcept {
    if (!unqueue(conn, index)) return;
    unlist_live_span(index);
    discard_slot(exchange_at(index).slot);
    retire(index);
}

bool withdraw_exchange(Conn& conn, uint32_t index) noexcept {
    if (!hold_queue(conn)) return false;
    const bool answered = (exchange_at(index).progress.load() & progress_response_begun) != 0;
    if (!answered) unlink(conn, index);
    release_queue(conn);
    if (answered) return false;
    unlist_live_span(index);
    discard_slot(exchange_at(index).slot);
    retire(index);
    return true;
}

}  // namespace remora::shim
