// SPDX-License-Identifier: Apache-2.0
// Hooks of the calls by which sockets come, go, are copied and change their ways. None of them
// moves bytes; each tells the connection table what has happened.
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdarg>

#include "preload/conn.h"
#include "preload/descriptors.h"
#include "preload/opening.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/stream.h"
#include "preload/thread_cleanup.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

// Its bytes go past us from here on: what is open ends now, its end would never be seen.
void leave_to_stdio(int fd) noexcept {
    const int saved = errno;
    if (Conn* conn = conn_of(fd)) bytes_go_past_us(*conn, REMORA_LOSS_stdio_on_a_socket);
    errno = saved;
}

struct ConnectCall {
    _pthread_cleanup_buffer cleanup;
    int fd;
    const sockaddr* to;
    socklen_t size;
    uint64_t began;
    uint32_t fallback;
};

// Its thread is cancelled in the call, or a signal handler leaves it by longjmp, as programs do
// that limit its time by alarm(): the frames of the call are still there, and the kernel has read
// the address.
void connect_left(void* argument) noexcept {
    const ConnectCall& call = *static_cast<ConnectCall*>(argument);
    end_fallback(call.fallback);
    note_connect_returned(call.fd, call.to, call.size, call.began, EINPROGRESS);
}

// accept() says how long the peer's address is, not how much of it had room.
socklen_t room_for(const sockaddr* from, const socklen_t* size) noexcept {
    return from != nullptr && plausible(size) ? *size : 0;
}

void note_accept(int fd, int flags, const sockaddr* from, socklen_t room,
                 const socklen_t* size) noexcept {
    const int saved = errno;
    notice_fork();
    note_accepted(fd, flags, from, room == 0 || room < *size ? room : *size);
    errno = saved;
}

void note_copy(int from, int to) noexcept {
    if (to < 0) return;
    const int saved = errno;
    notice_fork();
    note_duplicated(from, to);
    errno = saved;
}

void note_flags(int fd, int command, long argument, int result) noexcept {
    if (result < 0) return;
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        note_copy(fd, result);
    else if (command == F_SETFL)
        note_nonblocking(fd, (argument & O_NONBLOCK) != 0);
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER int socket(int domain, int type, int protocol) noexcept {
    const int fd = real::socket(domain, type, protocol);
    if (fd >= 0) {
        const int saved = errno;
        notice_fork();
        note_socket(fd, domain, type);
        errno = saved;
    }
    return fd;
}

REMORA_WRAPPER int socketpair(int domain, int type, int protocol, int* pair) noexcept {
    const int result = real::socketpair(domain, type, protocol, pair);
    if (result == 0) {
        const int saved = errno;
        notice_fork();
        note_socket(pair[0], domain, type);
        note_socket(pair[1], domain, type);
        errno = saved;
    }
    return result;
}

REMORA_WRAPPER int connect(int fd, const sockaddr* to, socklen_t size) {
    if (!session().active) return real::connect(fd, to, size);
    const uint64_t began = monotonic_now();
    ConnectCall call{{}, fd, to, size, began, begin_fallback()};
    _pthread_cleanup_push(&call.cleanup, connect_left, &call);
    const int result = real::connect(fd, to, size);
    _pthread_cleanup_pop(&call.cleanup, 0);
    const int saved = errno;
    notice_fork();
    end_fallback(call.fallback);
    note_connect_returned(fd, to, size, began, result == 0 ? 0 : saved);
    errno = saved;
    return result;
}

REMORA_WRAPPER int listen(int fd, int backlog) noexcept {
    const int result = real::listen(fd, backlog);
    if (result == 0) {
        const int saved = errno;
        notice_fork();
        note_listening(fd);
        errno = saved;
    }
    return result;
}

REMORA_WRAPPER int accept(int fd, sockaddr* from, socklen_t* size) {
    const socklen_t room = room_for(from, size);
    const int accepted = real::accept(fd, from, size);
    if (accepted >= 0) note_accept(accepted, 0, from, room, size);
    return accepted;
}

REMORA_WRAPPER int accept4(int fd, sockaddr* from, socklen_t* size, int flags) {
    const socklen_t room = room_for(from, size);
    const int accepted = real::accept4(fd, from, size, flags);
    if (accepted >= 0) note_accept(accepted, flags, from, room, size);
    return accepted;
}

REMORA_WRAPPER int shutdown(int fd, int how) noexcept {
    const int result = real::shutdown(fd, how);
    Conn* conn = result == 0 && how != SHUT_RD ? known_conn(fd) : nullptr;
    if (conn != nullptr && !in_vfork_child()) {
        const int saved = errno;
        Direction& direction = conn->directions[REMORA_DIRECTION_SENT];
        if (enter(*conn, direction)) {
            Call call;
            call.fd = fd;
            end_of_stream(*conn, REMORA_DIRECTION_SENT, call);
            leave(*conn, direction);
        }
        errno = saved;
    }
    return result;
}

// The table forgets the number before the kernel gives it to somebody else.
REMORA_WRAPPER int close(int fd) {
    const int saved = errno;
    note_closing(fd);
    errno = saved;
    return real::close(fd);
}

REMORA_WRAPPER int close_range(unsigned first, unsigned last, int flags) noexcept {
    const int result = real::close_range(first, last, flags);
    constexpr int only_marks = 1 << 2;  // CLOSE_RANGE_CLOEXEC
    if (result == 0 && (flags & only_marks) == 0) {
        const int saved = errno;
        note_closing_range(first, last);
        errno = saved;
    }
    return result;
}

REMORA_WRAPPER void closefrom(int first) noexcept {
    const int saved = errno;
    note_closing_range(first < 0 ? 0 : static_cast<unsigned>(first), ~0u);
    errno = saved;
    real::closefrom(first);
}

REMORA_WRAPPER int dup(int fd) noexcept {
    const int copy = real::dup(fd);
    note_copy(fd, copy);
    return copy;
}

REMORA_WRAPPER int dup2(int fd, int target) noexcept {
    const int copy = real::dup2(fd, target);
    note_copy(fd, copy);
    return copy;
}

REMORA_WRAPPER int dup3(int fd, int target, int flags) noexcept {
    const int copy = real::dup3(fd, target, flags);
    note_copy(fd, copy);
    return copy;
}

// What stdio reads and writes never passes us.
REMORA_WRAPPER FILE* fdopen(int fd, const char* mode) noexcept {
    FILE* file = real::fdopen(fd, mode);
    if (file != nullptr) leave_to_stdio(fd);
    return file;
}

// An error that the program fetches here is not reported by the next call any more.
REMORA_WRAPPER int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
    const int result = real::getsockopt(fd, level, name, value, size);
    if (result == 0 && level == SOL_SOCKET && name == SO_ERROR && value != nullptr &&
        size != nullptr && *size >= sizeof(int)) {
        int error_number;
        memcpy(&error_number, value, sizeof(error_number));
        Conn* conn = known_conn(fd);
        if (conn == nullptr) return result;
        const int saved = errno;
        note_connect_outcome(*conn, fd, error_number);
        if (error_number != 0 && conn->follow == Follow::fresh)
            note_connect_failed(fd);
        else if (error_number != 0)
            conn->error_number = error_number;
        errno = saved;
    }
    return result;
}

REMORA_WRAPPER int setsockopt(int fd, int level, int name, const void* value,
                              socklen_t size) noexcept {
    return real::setsockopt(fd, level, name, value, size);
}

REMORA_WRAPPER int fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    const long argument = va_arg(list, long);
    va_end(list);
    const int result = real::fcntl(fd, command, argument);
    note_flags(fd, command, argument, result);
    return result;
}

REMORA_WRAPPER int fcntl64(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    const long argument = va_arg(list, long);
    va_end(list);
    const int result = real::fcntl64(fd, command, argument);
    note_flags(fd, command, argument, result);
    return result;
}

REMORA_WRAPPER int ioctl(int fd, unsigned long request, ...) noexcept {
    va_list list;
    va_start(list, request);
    const long argument = va_arg(list, long);
    va_end(list);
    const int result = real::ioctl(fd, request, argument);
    if (result != 0 || argument == 0) return result;
    if (request == FIONBIO) note_nonblocking(fd, *reinterpret_cast<const int*>(argument) != 0);
    if (request == FIONREAD)
        if (Conn* conn = known_conn(fd))
            conn->counted = static_cast<uint32_t>(*reinterpret_cast<const int*>(argument));
    return result;
}
