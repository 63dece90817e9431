// SPDX-License-Identifier: Apache-2.0
// Hooks of the calls that send bytes. A wrapper describes its call and hands it to egress.cc; what
// is no followed connection goes straight to the real function.
#include <sys/sendfile.h>

#include <cerrno>

#include "preload/descriptors.h"
#include "preload/egress.h"
#include "preload/ingress.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

Outgoing describe(int fd, Via via, const iovec* parts, size_t count) noexcept {
    Outgoing out{};
    out.fd = fd;
    out.via = via;
    out.parts = parts;
    out.count = count;
    return out;
}


struct SendfileArguments {
    int to, from;
    off64_t* offset;
    size_t size;
};
ssize_t call_sendfile(void* arguments) {
    const auto& a = *static_cast<SendfileArguments*>(arguments);
    return real::sendfile64(a.to, a.from, a.offset, a.size);
}

struct SpliceArguments {
    int from;
    off64_t* from_offset;
    int to;
    off64_t* to_offset;
    size_t size;
    unsigned flags;
};
ssize_t call_splice(void* arguments) {
    const auto& a = *static_cast<SpliceArguments*>(arguments);
    return real::splice(a.from, a.from_offset, a.to, a.to_offset, a.size, a.flags);
}

ssize_t send_message(int fd, const msghdr* message, int flags) {
    Conn* conn = conn_of(fd);
    const iovec as_part{const_cast<msghdr*>(message), sizeof(msghdr)};
    if (conn == nullptr || !readable(&as_part, 1) || message->msg_iovlen > 1024 ||
        !readable(message->msg_iov, message->msg_iovlen))
        return real::sendmsg(fd, message, flags);
    Outgoing out = describe(fd, Via::sendmsg, message->msg_iov, message->msg_iovlen);
    out.flags = flags;
    out.message = message;
    out.original = [](const Outgoing& o) noexcept {
        return real::sendmsg(o.fd, o.message, o.flags);
    };
    return transmit(*conn, out);
}

// What the kernel's own loop does (net/socket.c, __sys_sendmmsg): it ends at the first error, which
// is told only if nothing went out, and at a message that went out in part.
int send_each(int fd, mmsghdr* messages, unsigned count, int flags) {
    const int kept = errno;
    unsigned done = 0;
    while (done < count) {
        mmsghdr& message = messages[done];
        const ssize_t sent = send_message(fd, &message.msg_hdr, flags);
        if (sent < 0) break;
        message.msg_len = static_cast<unsigned>(sent);
        ++done;
        size_t left = static_cast<size_t>(sent);
        size_t part = 0;
        for (; part < message.msg_hdr.msg_iovlen; ++part) {
            if (message.msg_hdr.msg_iov[part].iov_len > left) break;
            left -= message.msg_hdr.msg_iov[part].iov_len;
        }
        if (part < message.msg_hdr.msg_iovlen) break;
    }
    if (done == 0) return -1;
    errno = kept;
    return static_cast<int>(done);
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER ssize_t write(int fd, const void* data, size_t size) {
    Conn* conn = conn_of(fd);
    const iovec part{const_cast<void*>(data), size};
    if (conn == nullptr || !readable(&part, 1)) return real::write(fd, data, size);
    Outgoing out = describe(fd, Via::write, &part, 1);
    out.original = [](const Outgoing& o) noexcept {
        return real::write(o.fd, o.parts->iov_base, o.parts->iov_len);
    };
    return transmit(*conn, out);
}

REMORA_WRAPPER ssize_t send(int fd, const void* data, size_t size, int flags) {
    Conn* conn = conn_of(fd);
    const iovec part{const_cast<void*>(data), size};
    if (conn == nullptr || !readable(&part, 1)) return real::send(fd, data, size, flags);
    Outgoing out = describe(fd, Via::send, &part, 1);
    out.flags = flags;
    out.original = [](const Outgoing& o) noexcept {
        return real::send(o.fd, o.parts->iov_base, o.parts->iov_len, o.flags);
    };
    return transmit(*conn, out);
}

REMORA_WRAPPER ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to,
                              socklen_t to_size) {
    Conn* conn = conn_of(fd);
    const iovec part{const_cast<void*>(data), size};
    if (conn == nullptr || !readable(&part, 1))
        return real::sendto(fd, data, size, flags, to, to_size);
    Outgoing out = describe(fd, Via::sendto, &part, 1);
    out.flags = flags;
    out.to = to;
    out.to_size = to_size;
    out.original = [](const Outgoing& o) noexcept {
        return real::sendto(o.fd, o.parts->iov_base, o.parts->iov_len, o.flags, o.to, o.to_size);
    };
    return transmit(*conn, out);
}

REMORA_WRAPPER ssize_t writev(int fd, const iovec* parts, int count) {
    Conn* conn = conn_of(fd);
    if (conn == nullptr || count < 0 || count > 1024 ||
        !readable(parts, static_cast<size_t>(count)))
        return real::writev(fd, parts, count);
    Outgoing out = describe(fd, Via::writev, parts, static_cast<size_t>(count));
    out.original = [](const Outgoing& o) noexcept {
        return real::writev(o.fd, o.parts, static_cast<int>(o.count));
    };
    return transmit(*conn, out);
}

REMORA_WRAPPER ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return send_message(fd, message, flags);
}

// On a followed connection message by message: what is pending has to go out first, and heads are
// injected. Under a seccomp filter what went out is only watched.
REMORA_WRAPPER int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    const iovec as_part{messages, sizeof(mmsghdr) * (count < 1024 ? count : 1024)};
    if (count > 0 && readable(&as_part, 1) && !seccomp_filtered() && conn_of(fd) != nullptr)
        return send_each(fd, messages, count < 1024 ? count : 1024, flags);
    const int done = real::sendmmsg(fd, messages, count, flags);
    Conn* conn = done > 0 ? conn_of(fd) : nullptr;
    for (int i = 0; conn != nullptr && i < done; ++i)
        watch_sent(*conn, fd, messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen,
                   messages[i].msg_len);
    return done;
}

REMORA_WRAPPER ssize_t sendfile64(int to, int from, off64_t* offset, size_t size) {
    Conn* conn = conn_of(to);
    if (conn == nullptr) return real::sendfile64(to, from, offset, size);
    SendfileArguments arguments{to, from, offset, size};
    return transmit_file(*conn, {to, &arguments, call_sendfile});
}

REMORA_WRAPPER ssize_t sendfile(int to, int from, off_t* offset, size_t size) {
    static_assert(sizeof(off_t) == sizeof(off64_t));
    return sendfile64(to, from, offset, size);
}

REMORA_WRAPPER ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset,
                              size_t size, unsigned flags) {
    Conn* source = conn_of(from);
    Conn* target = conn_of(to);
    SpliceArguments arguments{from, from_offset, to, to_offset, size, flags};
    const ssize_t moved = target == nullptr
                              ? call_splice(&arguments)
                              : transmit_file(*target, {to, &arguments, call_splice});
    if (source != nullptr && (moved > 0 || (moved == 0 && size > 0)))
        watch_received(*source, from, nullptr, 0, static_cast<size_t>(moved));
    return moved;
}
