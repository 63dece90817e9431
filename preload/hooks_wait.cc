// SPDX-License-Identifier: Apache-2.0
// Hooks of the calls that wait on descriptors. A thread that has waited on several connections at
// once serves several requests at once: what it sends can't be told apart by the thread any more
// (parent rule 3). Waiting on a listener and a wake-up pipe, or on the one connection to a
// database, says no such thing.
#include <cerrno>

#include "preload/conn.h"
#include "preload/descriptors.h"
#include "preload/real.h"
#include "preload/thread_state.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

constexpr unsigned long few = 64;  // more than these are a loop's, whatever they are

// Asks the kernel what an unknown descriptor is, once: a connection that came to us in some other
// way than by accept() must not look like a pipe.
bool serves_somebody(int fd) noexcept {
    const int saved = errno;
    const Conn* conn = conn_of(fd);
    errno = saved;
    return conn != nullptr && (conn->role == REMORA_ROLE_SERVER ||
                               (conn->accepted && conn->role != REMORA_ROLE_CLIENT));
}

void note_poll(const pollfd* fds, nfds_t count) noexcept {
    ThreadState& thread = thread_state;
    if (thread.multiplexes || count < 2 || !plausible(fds)) return;
    bool several = count > few;
    for (nfds_t i = 0; i < count && !several; ++i) several = serves_somebody(fds[i].fd);
    thread.multiplexes = several;
}

void note_select(int count, const fd_set* const (&sets)[3]) noexcept {
    ThreadState& thread = thread_state;
    if (thread.multiplexes) return;
    // Sets of how many bits? The kernel looks at no more than the table of descriptors is long, so
    // that select(getdtablesize(), ...) is right with any set. We don't know that length.
    if (count > FD_SETSIZE) {
        thread.multiplexes = true;
        return;
    }
    for (const fd_set* set : sets)
        if (set != nullptr && !plausible(set)) return;
    unsigned members = 0;
    bool connection = false;
    for (int word = 0; word * 64 < count; ++word) {
        uint64_t bits = 0;
        for (const fd_set* set : sets)
            if (set != nullptr) bits |= reinterpret_cast<const uint64_t*>(set)[word];
        if (count - word * 64 < 64) bits &= (uint64_t{1} << (count - word * 64)) - 1;
        for (; bits != 0; bits &= bits - 1) {
            ++members;
            connection = connection || serves_somebody(word * 64 + __builtin_ctzll(bits));
        }
        if (members > few || (members > 1 && connection)) break;
    }
    thread.multiplexes = members > few || (members > 1 && connection);
}

void note_epoll() noexcept { thread_state.multiplexes = true; }

// Nothing was ready in time: who closes a socket now gives it up for that (opening.h).
int waited(int ready) noexcept {
    thread_state.wait_timed_out = ready == 0;
    return ready;
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER int poll(pollfd* fds, nfds_t count, int timeout) {
    note_poll(fds, count);
    return waited(real::poll(fds, count, timeout));
}

REMORA_WRAPPER int ppoll(pollfd* fds, nfds_t count, const timespec* timeout,
                         const sigset_t* signals) {
    note_poll(fds, count);
    return waited(real::ppoll(fds, count, timeout, signals));
}

REMORA_WRAPPER int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
    note_poll(fds, count);
    return waited(real::__poll_chk(fds, count, timeout, room));
}

REMORA_WRAPPER int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout,
                               const sigset_t* signals, size_t room) {
    note_poll(fds, count);
    return waited(real::__ppoll_chk(fds, count, timeout, signals, room));
}

REMORA_WRAPPER int select(int count, fd_set* reads, fd_set* writes, fd_set* errors,
                          timeval* timeout) {
    note_select(count, {reads, writes, errors});
    return waited(real::select(count, reads, writes, errors, timeout));
}

REMORA_WRAPPER int pselect(int count, fd_set* reads, fd_set* writes, fd_set* errors,
                           const timespec* timeout, const sigset_t* signals) {
    note_select(count, {reads, writes, errors});
    return waited(real::pselect(count, reads, writes, errors, timeout, signals));
}

REMORA_WRAPPER int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
    const int result = real::epoll_ctl(epoll, operation, fd, event);
    if (result != 0) return result;
    const int saved = errno;
    Conn* conn = operation == EPOLL_CTL_DEL ? known_conn(fd) : conn_of(fd);
    if (conn != nullptr) conn->in_epoll = operation != EPOLL_CTL_DEL;
    errno = saved;
    return result;
}

REMORA_WRAPPER int epoll_wait(int epoll, epoll_event* events, int count, int timeout) {
    note_epoll();
    return waited(real::epoll_wait(epoll, events, count, timeout));
}

REMORA_WRAPPER int epoll_pwait(int epoll, epoll_event* events, int count, int timeout,
                               const sigset_t* signals) {
    note_epoll();
    return waited(real::epoll_pwait(epoll, events, count, timeout, signals));
}

REMORA_WRAPPER int epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                                const sigset_t* signals) {
    note_epoll();
    return waited(real::epoll_pwait2(epoll, events, count, timeout, signals));
}
