// SPDX-License-Identifier: Apache-2.0
// Whose child is an outgoing request? Design, section 4. No parent rather than a wrong parent:
// ambiguity at any step ends the search.
#include "preload/exchange_life.h"
#include "preload/process_state.h"
#include "preload/thread_state.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace remora::shim {
namespace {

// Has the thread read another request behind this one? Then it may be at work on either: some send
// the answers to pipelined requests together.
bool read_several(uint32_t first, const ThreadState& thread) noexcept {
    const uint32_t next = exchange_at(first).next;
    return next != 0 && read_by(next, &thread);
}

// Rule 3: the thread serves one blocking connection and has never waited on several. What it sends
// belongs to the one open request of that connection, if it was this thread that read it: a pool
// passes connections around. An opaque connection's answers go by unseen: its request may be over.
bool find_on_thread(ContextSnapshot& out) noexcept {
    const ThreadState& thread = thread_state;
    const Conn* conn = thread.serving;
    if (conn == nullptr || thread.multiplexes) return false;
    if (conn->generation.load(std::memory_order_acquire) != thread.serving_generation) return false;
    if (!waits_in_calls(*conn)) return false;
    if (conn->opaque.load(std::memory_order_relaxed)) return false;
    const uint32_t first = conn->first;
    if (first == 0 || read_several(first, thread)) return false;
    return snapshot_exchange(first, &thread, out) && out.context.valid() &&
           conn->generation.load(std::memory_order_acquire) == thread.serving_generation;
}

// Rule 4: a program that never served anybody; its calls belong to the process itself.
bool find_process(ContextSnapshot& out) noexcept {
    const SpanContext* process = process_parent();
    if (process == nullptr || !process->valid()) return false;
    out.context = *process;
    const ByteView tracestate = process_tracestate().first(REMORA_TRACESTATE_MAX);
    out.tracestate_size = static_cast<uint16_t>(tracestate.size);
    memcpy(out.tracestate, tracestate.data, tracestate.size);
    return true;
}

}  // namespace

void find_parent(const ContextCollector& head, Parent& out) noexcept {
    out.snapshot.tracestate_size = 0;
    SpanContext carried;
    if (head.context(carried)) {
        Match match = find_live_span(carried.trace_id, carried.span_id, out.snapshot);
        out.join = REMORA_JOIN_HEADER;
        if (match == Match::none) {
            match = find_live_origin(carried.trace_id, carried.span_id, out.snapshot);
            out.join = REMORA_JOIN_ORIGIN;
        }
        if (match == Match::one) return;
        // Not ours, or not certainly one of ours: what the program itself says stands.
        if (match == Match::several) count_loss(REMORA_LOSS_parent_ambiguous);
        out.join = REMORA_JOIN_PROGRAM;
        out.snapshot.context = carried;
        out.snapshot.tracestate_size = 0;
        return;
    }
    find_parent(out);
    if (out.join == REMORA_JOIN_PROCESS) note_referenced();
    if (out.join == REMORA_JOIN_ROOT && thread_serves_open_request())
        count_loss(REMORA_LOSS_parent_unknown);
}

void find_parent(Parent& out) noexcept {
    out.snapshot.tracestate_size = 0;
    if (find_on_thread(out.snapshot)) {
        out.join = REMORA_JOIN_THREAD;
    } else if (find_process(out.snapshot)) {
        out.join = REMORA_JOIN_PROCESS;
    } else {
        out.join = REMORA_JOIN_ROOT;
        out.snapshot.context = SpanContext{};
    }
}

void serve_on_this_thread(Conn& conn, Exchange& exchange) noexcept {
    ThreadState& thread = thread_state;
    // A second connection before the first one has its answer: this thread serves several.
    if (thread.serving != &conn && thread_serves_open_request()) thread.multiplexes = true;
    exchange.reader.store(&thread, std::memory_order_relaxed);
    thread.serving = &conn;
    thread.serving_generation = conn.generation.load(std::memory_order_acquire);
}

bool thread_serves_open_request() noexcept {
    const ThreadState& thread = thread_state;
    const Conn* conn = thread.serving;
    if (conn == nullptr) return false;
    const uint32_t first = conn->first;
    return first != 0 && read_by(first, &thread) &&
           conn->generation.load(std::memory_order_acquire) == thread.serving_generation;
}

// For programs that are started while a request is served (CGI): process_state.h.
bool thread_context(ContextSnapshot& out) noexcept { return find_on_thread(out); }

uint32_t current_thread_id() noexcept {
    ThreadState& thread = thread_state;
    if (thread.thread_id == 0 || thread.epoch != process_epoch()) {
        if (seccomp_filtered()) return thread.thread_id;
        thread.thread_id = static_cast<uint32_t>(::syscall(SYS_gettid));
    }
    return thread.thread_id;
}

}  // namespace remora::shim
