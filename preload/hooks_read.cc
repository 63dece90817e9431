// SPDX-License-Identifier: Apache-2.0
// Hooks of the calls that receive bytes. A wrapper describes its call and hands it to ingress.cc;
// what is no followed connection goes straight to the real function.
#include <cerrno>

#include "preload/descriptors.h"
#include "preload/ingress.h"
#include "preload/real.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

struct ReceiveArguments {
    sockaddr* from;
    socklen_t* from_size;
    msghdr* message;
};

// Descriptors that came along (SCM_RIGHTS) are of unknown kind under their numbers.
void note_passed_descriptors(msghdr& message) noexcept {
    if (message.msg_control == nullptr || message.msg_controllen < sizeof(cmsghdr)) return;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            note_unknown(fd);
        }
    }
}

size_t capacity_of(const iovec* parts, size_t count) noexcept {
    size_t total = 0;
    for (size_t i = 0; i < count; ++i) total += parts[i].iov_len;
    return total;
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER ssize_t read(int fd, void* data, size_t size) {
    Conn* conn = conn_of(fd);
    if (conn == nullptr) return real::read(fd, data, size);
    const iovec part{data, size};
    Incoming in{fd, &part, 1};
    in.may_limit = true;
    in.original = [](const Incoming& i, size_t limit) {
        return real::read(i.fd, i.parts->iov_base, limit);
    };
    return receive(*conn, in);
}

REMORA_WRAPPER ssize_t recv(int fd, void* data, size_t size, int flags) {
    Conn* conn = conn_of(fd);
    if (conn == nullptr) return real::recv(fd, data, size, flags);
    const iovec part{data, size};
    Incoming in{fd, &part, 1, flags};
    in.may_limit = true;
    in.original = [](const Incoming& i, size_t limit) {
        return real::recv(i.fd, i.parts->iov_base, limit, i.flags);
    };
    return receive(*conn, in);
}

REMORA_WRAPPER ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from,
                                socklen_t* from_size) {
    Conn* conn = conn_of(fd);
    if (conn == nullptr) return real::recvfrom(fd, data, size, flags, from, from_size);
    const iovec part{data, size};
    ReceiveArguments arguments{from, from_size, nullptr};
    Incoming in{fd, &part, 1, flags};
    in.may_limit = true;
    in.arguments = &arguments;
    in.original = [](const Incoming& i, size_t limit) {
        const auto& a = *static_cast<ReceiveArguments*>(i.arguments);
        return real::recvfrom(i.fd, i.parts->iov_base, limit, i.flags, a.from, a.from_size);
    };
    return receive(*conn, in);
}

REMORA_WRAPPER ssize_t readv(int fd, const iovec* parts, int count) {
    Conn* conn = conn_of(fd);
    if (conn == nullptr || count < 0 || count > 1024 ||
        !readable(parts, static_cast<size_t>(count)))
        return real::readv(fd, parts, count);
    Incoming in{fd, parts, static_cast<size_t>(count)};
    in.original = [](const Incoming& i, size_t) {
        return real::readv(i.fd, i.parts, static_cast<int>(i.count));
    };
    return receive(*conn, in);
}

REMORA_WRAPPER ssize_t recvmsg(int fd, msghdr* message, int flags) {
    Conn* conn = conn_of(fd);
    ssize_t size;
    if (conn == nullptr || !plausible(message) || message->msg_iovlen > 1024 ||
        !readable(message->msg_iov, message->msg_iovlen)) {
        size = real::recvmsg(fd, message, flags);
    } else {
        ReceiveArguments arguments{nullptr, nullptr, message};
        Incoming in{fd, message->msg_iov, message->msg_iovlen, flags};
        in.arguments = &arguments;
        in.original = [](const Incoming& i, size_t) {
            return real::recvmsg(i.fd, static_cast<ReceiveArguments*>(i.arguments)->message,
                                 i.flags);
        };
        size = receive(*conn, in);
    }
    if (size >= 0 && message != nullptr && message->msg_control != nullptr) {
        const int saved = errno;
        note_passed_descriptors(*message);
        errno = saved;
    }
    return size;
}

// Rare on stream sockets: only watched.
REMORA_WRAPPER int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags,
                            timespec* timeout) {
    const int done = real::recvmmsg(fd, messages, count, flags, timeout);
    if (done <= 0) return done;
    const int saved = errno;
    Conn* conn = conn_of(fd);
    if (conn != nullptr && (flags & MSG_PEEK))
        for (int i = 0; i < done; ++i) note_peeked(*conn, messages[i].msg_len);
    if (flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) conn = nullptr;
    for (int i = 0; i < done; ++i) {
        const msghdr& message = messages[i].msg_hdr;
        const bool asked = capacity_of(message.msg_iov, message.msg_iovlen) > 0;
        if (conn != nullptr && asked)
            watch_received(*conn, fd, message.msg_iov, message.msg_iovlen, messages[i].msg_len);
        note_passed_descriptors(messages[i].msg_hdr);
    }
    errno = saved;
    return done;
}

// FORTIFY's entry points: the check is libc's, the rest is the plain call's.
REMORA_WRAPPER ssize_t __read_chk(int fd, void* data, size_t size, size_t room) {
    return size > room ? real::__read_chk(fd, data, size, room) : read(fd, data, size);
}
REMORA_WRAPPER ssize_t __recv_chk(int fd, void* data, size_t size, size_t room, int flags) {
    return size > room ? real::__recv_chk(fd, data, size, room, flags)
                       : recv(fd, data, size, flags);
}
REMORA_WRAPPER ssize_t __recvfrom_chk(int fd, void* data, size_t size, size_t room, int flags,
                                      sockaddr* from, socklen_t* from_size) {
    return size > room ? real::__recvfrom_chk(fd, data, size, room, flags, from, from_size)
                       : recvfrom(fd, data, size, flags, from, from_size);
}
