// SPDX-License-Identifier: Apache-2.0
// The span of a connection that did not come about: an exchange without bytes, of the protocol
// "connect". It gets its ids and its parent when the first connect is on its way, by the thread
// that makes it; no peer ever hears of them.
#include <cstring>

#include "preload/exchange_life.h"
#include "preload/lane_writer.h"
#include "preload/opening_state.h"
#include "preload/process_state.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

// A crawler has thousands of connects on their way: requests need slots, too. Beyond this many only
// what has failed gets one.
constexpr uint32_t most_on_their_way = 128;
uint32_t spans_open = 0;

// Where telemetry is sent to (IANA: 4317 and 4318 are OTLP's, 9411 is Zipkin's). That nobody
// listens there is no news about the program.
bool is_telemetry(const remora_address& peer) noexcept {
    return peer.port == 4317 || peer.port == 4318 || peer.port == 9411;
}

void write_opening(const Opening& opening, remora_slot& slot) noexcept {
    remora_opening told = opening.told;
    if (opening.uncertain) told.lookup_start_ns = told.lookup_end_ns = 0;
    memcpy(slot.payload, &told, sizeof(told));
}

uint64_t start_of(const Opening& opening) noexcept {
    if (opening.told.lookup_start_ns != 0 && !opening.uncertain)
        return opening.told.lookup_start_ns;
    if (opening.began_ns != 0) return opening.began_ns;
    return opening.told.tls_start_ns;
}

void fill(const Opening& opening, remora_exchange& record, uint64_t now) noexcept {
    memcpy(record.protocol, "connect", 8);
    record.connection = opening.connection;
    record.role = REMORA_ROLE_CLIENT;
    record.start_ns = start_of(opening);
    record.activity_ns = now;
    record.thread = current_thread_id();
    record.peer = opening.peer;
    record.marks = REMORA_MARK_NEW_CONNECTION;
    record.opening_size = sizeof(remora_opening);
}

void reserve_span(Opening& opening, uint64_t now) noexcept {
    if (opening.span != 0 || opening.unsampled || !recording()) return;
    const uint32_t index = allocate_exchange();
    if (index == 0) return count_loss(REMORA_LOSS_connection_table_full);
    Exchange& exchange = exchange_at(index);
    reset_exchange(exchange);
    exchange.role = REMORA_ROLE_CLIENT;
    exchange.start_ns = start_of(opening);
    exchange.opening_recorded = sizeof(remora_opening);
    exchange.carries_context = true;  // no text of a request comes before a tracestate
    end_change(exchange);
    exchange.slot = reserve_slot(now);
    if (exchange.slot) {
        fill(opening, exchange.slot.slot()->exchange, now);
        write_opening(opening, *exchange.slot.slot());
        decide_connect(exchange);
        opening.unsampled = !exchange.slot;
    }
    if (!exchange.slot) return retire(index);  // nobody reads, or none is free
    opening.span = index;
    ++spans_open;
}

// The last attempt, or the handshake, says how it ended.
void write_end(const Opening& opening, remora_exchange& record, uint64_t now) noexcept {
    const remora_opening& told = opening.told;
    const unsigned stored = told.failed < REMORA_ATTEMPTS_MAX ? told.failed : REMORA_ATTEMPTS_MAX;
    uint64_t end = now;
    int32_t error_number = 0;
    if (opening.winner == 0 && stored > 0) {
        end = told.attempts[stored - 1].end_ns;
        error_number = told.attempts[stored - 1].error_number;
    } else if (told.tls_end_ns != 0) {
        end = told.tls_end_ns;
    }
    record.error_number = error_number;
    record.end_ns = end;
    record.end = static_cast<uint8_t>(error_number > 0 ? REMORA_END_ERROR : REMORA_END_LOCAL);
}

void drop_span(Opening& opening) noexcept {
    retire(opening.span);
    opening.span = 0;
    --spans_open;
}

}  // namespace

void begin_connect_span(Opening& opening, uint64_t now) noexcept {
    if (!opening.internet || is_telemetry(opening.peer)) return;
    if (opening.span == 0 && spans_open >= most_on_their_way) return;
    reserve_span(opening, now);
    if (opening.span == 0) return;
    remora_slot& slot = *exchange_at(opening.span).slot.slot();
    // The agent must not take it while another attempt is on its way.
    __atomic_store_n(&slot.exchange.activity_ns, now, __ATOMIC_RELAXED);
    slot.exchange.marks = REMORA_MARK_NEW_CONNECTION;
    slot.exchange.end = REMORA_END_OPEN;
    slot.exchange.peer = opening.peer;
    write_opening(opening, slot);
}

void let_span_stand(Opening& opening, uint64_t now) noexcept {
    begin_connect_span(opening, now);
    if (opening.span == 0) return;
    remora_exchange& record = exchange_at(opening.span).slot.slot()->exchange;
    write_end(opening, record, now);
    record.marks = REMORA_MARK_NEW_CONNECTION | REMORA_MARK_STANDS;
}

void finish_connect_span(Opening& opening, uint64_t now) noexcept {
    if (!opening.internet) return;
    if (is_telemetry(opening.peer)) return count_loss(REMORA_LOSS_own_telemetry);
    reserve_span(opening, now);
    if (opening.span == 0) return;
    const Exchange& exchange = exchange_at(opening.span);
    remora_slot& slot = *exchange.slot.slot();
    slot.exchange.peer = opening.peer;
    write_opening(opening, slot);
    write_end(opening, slot.exchange, now);
    if (exchange.join == REMORA_JOIN_PROCESS) note_referenced();
    finish_slot(exchange.slot);
    drop_span(opening);
}

bool discard_connect_span(Opening& opening) noexcept {
    if (opening.span == 0) return true;
    const bool never_told = discard_slot(exchange_at(opening.span).slot);
    drop_span(opening);
    return never_told;
}

}  // namespace remora::shim
