// SPDX-License-Identifier: Apache-2.0
// What is known of openings, for opening.cc, lookup.cc and connect_span.cc alone.
//
// One Opening stands for one wish to reach a host: the lookup, and every connect to an address that
// it returned until one succeeds. A connect without a lookup that is certainly its own has an
// Opening of its own.
//
// When has an attempt failed for good? While the lookup has addresses that no connect has tried,
// and one may still follow, the span of the failed attempt is written but not handed over
// (REMORA_MARK_STANDS): a connect that succeeds takes it back, and it becomes an event of that
// call. It stands once all addresses have been tried, or when lookup_lifetime_ns have passed
// without a connect, or the process has ended; an address that no lookup returned has no fallback,
// so it stands at once. Who decides is the slot's state: taken back or taken by the agent, never
// both.
#pragma once

#include <atomic>

#include "preload/opening.h"

namespace remora::shim {

// For so long after a lookup, or after the last connect to one of its addresses has ended, connects
// are taken to be to what it returned. Below REMORA_CONNECT_SETTLED_NS.
constexpr uint64_t lookup_lifetime_ns = 2'000'000'000;

struct Opening {
    remora_opening told;
    HostAddresses found;
    uint32_t tried = 0;       // bit per address in `found`
    uint32_t users = 0;       // connections that refer to it
    uint32_t winner = 0;      // serial of the connection that succeeded; 0: none yet
    uint32_t span = 0;        // exchange that stands for what failed, or is on its way; 0: none
    uint32_t connection = 0;  // serial, for that span
    uint32_t epoch = 0;       // of the process
    uint64_t began_ns = 0;    // its first connect
    uint64_t used_ns = 0;     // last change
    const void* thread = nullptr;     // that made the lookup
    const void* failed_on = nullptr;  // thread of the last attempt, where another may follow
    remora_address peer{};            // of the last attempt
    bool pending = false;             // the next connect may be to one of its addresses
    bool uncertain = false;           // a connect could have been another lookup's
    bool believed = false;            // the winner has sent, but nobody said that it is connected
    bool internet = false;            // INET or INET6: only those have a span of their own
    bool unsampled = false;           // no span for what fails
    bool gave_up = false;  // the program waited for the last attempt as long as it cared to
};

// All openings are held for a few stores at a time. false after a bounded wait: the holder was
// preempted, or is us below a signal handler. What was to be noted is counted as uncertain.
bool hold_openings() noexcept;
void release_openings() noexcept;

// Everything below is for the holder.
uint32_t new_opening() noexcept;  // 0: none left. Reset, no users.
Opening& opening_at(uint32_t index) noexcept;
void free_opening(uint32_t index) noexcept;

// --- lookup.cc ---------------------------------------------------------------------------------
// The opening that a connect to this address belongs to, if exactly one lookup that waits for its
// connect returned it. Where several did, the one to count attempts on, `uncertain`. 0: none.
uint32_t take_lookup(const remora_address& peer, uint64_t began_ns) noexcept;
// No further connect is its.
void stop_waiting(uint32_t index) noexcept;
// A connect that fails may be followed by another to an address of the same lookup.
bool fallback_may_follow(const Opening& opening) noexcept;

// --- connect_span.cc ---------------------------------------------------------------------------
// Reserves the span of an opening whose connect is on its way, so that it survives the process.
void begin_connect_span(Opening& opening, uint64_t now) noexcept;
// What failed is told, unless it is taken back.
void let_span_stand(Opening& opening, uint64_t now) noexcept;
// It is told.
void finish_connect_span(Opening& opening, uint64_t now) noexcept;
// It never was. false: the agent has it already.
bool discard_connect_span(Opening& opening) noexcept;

}  // namespace remora::shim
