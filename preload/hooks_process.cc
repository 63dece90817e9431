// SPDX-License-Identifier: Apache-2.0
// Hooks of what a process does to itself: forks, becomes a daemon, puts on a filter, ends.
#include <errno.h>
#include <stdarg.h>

#include "preload/lane_writer.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER pid_t fork() noexcept {
    const pid_t child = real::fork();
    // notice_fork() would find out at the next hook; on kernels that can't wipe a page this is it.
    if (child == 0 && session().active) {
        const int kept = errno;
        child_init();
        errno = kept;
    }
    return child;
}

REMORA_WRAPPER int daemon(int keep_directory, int keep_streams) noexcept {
    const int result = real::daemon(keep_directory, keep_streams);
    if (result == 0) note_daemon();  // we are the child now
    return result;
}

REMORA_WRAPPER pid_t setsid() noexcept {
    const pid_t session_id = real::setsid();
    // The child of a vfork (Python's subprocess) runs on its parent's memory.
    if (session_id >= 0 && !in_vfork_child()) note_daemon();
    return session_id;
}

REMORA_WRAPPER int prctl(int option, ...) noexcept {
    va_list list;
    va_start(list, option);
    long words[4];
    for (long& word : words) word = va_arg(list, long);
    va_end(list);
    const int result = real::prctl(option, words[0], words[1], words[2], words[3]);
    if (option == PR_SET_SECCOMP && result == 0) note_seccomp();
    return result;
}

REMORA_WRAPPER int mlockall(int flags) noexcept {
    const int kept = errno;
    if ((flags & MCL_CURRENT) != 0) keep_only_held_lanes();
    errno = kept;
    return real::mlockall(flags);
}

// These three skip on_exit handlers, and inside libc they skip each other's wrappers.
REMORA_WRAPPER void _exit(int status) {
    record_exit(status);
    real::_exit(status);
    __builtin_unreachable();
}

REMORA_WRAPPER void _Exit(int status) noexcept {
    record_exit(status);
    real::_Exit(status);
    __builtin_unreachable();
}

REMORA_WRAPPER void quick_exit(int status) noexcept {
    record_exit(status);  // a handler of at_quick_exit may still change it by _exit
    real::quick_exit(status);
    __builtin_unreachable();
}
