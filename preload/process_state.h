// SPDX-License-Identifier: Apache-2.0
// What this process is to a trace: its identity, its process span, the settings of its environment,
// and what it has become (a server, a daemon, sandboxed, a forked child).
//
// Set up by the constructor, read by any thread without a lock. No function changes errno.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/context/sampler.h"
#include "agent/context/span_context.h"
#include "bpf/abi/record.h"
#include "preload/environment.h"
#include "preload/exchange.h"

namespace remora::shim {

// --- fork and vfork
// -------------------------------------------------------------------------------

// A page that the kernel zeroes in a forked child (MADV_WIPEONFORK, Linux 4.14); 0 in `alive` means
// that we are in one and have not noticed yet.
struct ForkPage {
    uint64_t alive;
};
extern constinit ForkPage* fork_page;
inline bool forked() noexcept {
    return __builtin_expect(__atomic_load_n(&fork_page->alive, __ATOMIC_RELAXED) == 0, 0);
}
// The forked child's new beginning: pid, epoch, fresh ids, no lanes. The process span and the
// thread's context stay those of the parent.
void child_init() noexcept;
// First in every hook that uses state.
inline void notice_fork() noexcept {
    if (forked()) child_init();
}
// Grows by one in every generation of forked children; what carries an older one is our parent's.
uint32_t process_epoch() noexcept;

// Are we the child of a vfork, running on our parent's memory? One system call: for hooks that
// forget state (close, dup2, _exit), never for bytes.
bool in_vfork_child() noexcept;

// --- identity
// -------------------------------------------------------------------------------------

// What every lane of this process says about it; states and times are kept in the lane.
const remora_process& process_record() noexcept;
uint64_t process_image() noexcept;
// Seeds a thread's generator from this process's entropy, without a system call.
void seed_ids(IdGenerator& generator) noexcept;
uint64_t monotonic_now() noexcept;  // CLOCK_MONOTONIC by the vDSO

// --- settings
// -------------------------------------------------------------------------------------

// May anything be recorded now? Follows the live switches and OTEL_SDK_DISABLED.
bool recording() noexcept;
// May heads be touched at all? false: pass everything through.
bool tracing() noexcept;
// The sampler in force: the process's own OTEL_TRACES_SAMPLER unless the agent's is forced.
Sampler current_sampler() noexcept;

// --- the process span and what the process has become
// ----------------------------------------------

// Parent rule 4: the process span's context while this process never was a server and has not
// daemonised; nullptr otherwise. Who sends its id calls note_referenced().
const SpanContext* process_parent() noexcept;
// The process span, whatever became of the process; nullptr: it has none.
const SpanContext* process_span() noexcept;
// What TRACEPARENT brought; not valid() without one.
const SpanContext& incoming_context() noexcept;
// The tracestate that TRACESTATE brought; goes with both.
ByteView process_tracestate() noexcept;

void note_server() noexcept;       // it listened, accepted or served a request
void note_daemon() noexcept;       // setsid(), daemon()
void note_referenced() noexcept;   // the process span's id goes out
void note_seccomp() noexcept;      // a filter is (about to be) in force
bool seccomp_filtered() noexcept;  // use only the system call that the program made
// What syscall() asked of the kernel: seccomp and exit_group concern us.
void note_system_call(long number, long first, long second) noexcept;

// The context that a program started now should continue: the request that this thread serves
// (parent.cc), else the process span. false: none. Safe in a vfork child.
struct ChildContext {
    ContextSnapshot snapshot;
    bool is_process_span = false;
};
bool context_for_child(ChildContext& out) noexcept;

// --- set-up, for the constructor
// ------------------------------------------------------------------

void init_process(int argument_count, char** arguments, const Environment& environment) noexcept;
void record_exit(int code) noexcept;  // exit, _exit, quick_exit; nothing in a vfork child

}  // namespace remora::shim
