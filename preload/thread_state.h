// SPDX-License-Identifier: Apache-2.0
// What the shim remembers per thread. Initial-exec TLS, zero-initialised, no destructor, far below
// the 256 bytes that a late dlopen would still find room for.
#pragma once

#include <cstdint>

#include "agent/context/ids.h"

namespace remora::shim {

struct Conn;
struct TlsChannel;

struct ThreadState {
    IdGenerator ids;
    // Parent rule 3: the blocking connection whose request this thread serves, and which life of
    // that object it was.
    Conn* serving = nullptr;
    uint32_t serving_generation = 0;
    uint32_t thread_id = 0;  // 0: not asked for yet
    uint32_t fallback = 0;   // the opening whose next attempt this thread may make (opening.h)
    uint32_t epoch = 0;      // of the process; another one: we are in a forked child
    // The TLS session whose library this thread is inside, and what we know of it (may be null).
    const void* tls_session = nullptr;
    TlsChannel* tls_channel = nullptr;
    bool multiplexes = false;     // it has waited on several connections at once: rule 3 is off
    bool wait_timed_out = false;  // its last wait on descriptors ended with none ready
    bool resolving = false;       // inside libc's resolver, whose connections are not the program's
};

extern thread_local constinit ThreadState thread_state;

// The kernel's id of this thread; one syscall per thread.
uint32_t current_thread_id() noexcept;

}  // namespace remora::shim
