// SPDX-License-Identifier: Apache-2.0
// The environment that a started program gets: the caller's, with us kept in it (LD_PRELOAD,
// REMORA_SESSION) and the current context as TRACEPARENT and TRACESTATE.
//
// Runs between vfork and exec on the parent's memory: touches only its own stack (and one flag of
// the process that the parent shares rightly: its span's id went out), allocates nothing, takes no
// lock.
#pragma once

#include <cstddef>

#include "bpf/abi/limits.h"
#include "preload/environment.h"
#include "preload/session.h"

namespace remora::shim {

// For the constructor. library: the shim's own path, absolute; texts are copied.
void init_child_environment(const SessionAddress& address, const char* library) noexcept;
// "" before that, or in a passive process: then no environment is ever changed.
const char* library_path() noexcept;
// The TRACEPARENT that this process started with was put there by us.
bool inherited_traceparent_is_ours() noexcept;
// Is this TRACEPARENT merely what the process inherited, or our own work, or invalid and so
// nobody's; and not the program's own choice?
bool is_inherited_traceparent(const char* value) noexcept;

class ChildEnvironment {
public:
    static constexpr size_t entries_added = 4;

    // Fills `entries`, which has room for `count` + entries_added + 1 pointers; they point into the
    // caller's environment and into this object. `loads_us`: the program can load the shim;
    // otherwise LD_PRELOAD is freed from our name. false: the program gets the caller's own
    // environment.
    bool build(char* const* caller, size_t count, bool loads_us, char** entries) noexcept;

private:
    enum class Trace { keep, replace };

    Trace decide_trace(const Environment& caller) noexcept;
    void write_traceparent_entry(const char* value) noexcept;
    char* edited_preload(char* entry, bool loads_us) noexcept;
    char* edited(char* entry, bool loads_us, char* last_preload) noexcept;

    Trace trace_ = Trace::keep;
    size_t tracestate_size_ = 0;
    char traceparent_[12 + 55 + 1];
    char tracestate_[11 + REMORA_TRACESTATE_MAX + 1];
    char preload_[2048];
};

// Entries before the closing null pointer; a null environment is an empty one.
size_t count_entries(char* const* environment) noexcept;

}  // namespace remora::shim
