// SPDX-License-Identifier: Apache-2.0
// Bytes that the program reads from a plain socket: watched, and, where they hold a request's head,
// handed on with a traceparent that names our server span.
//
// Never tells the program that there is nothing while there is something, never keeps back a byte
// that the kernel delivered, and after an edit that could make the read look short it asks for the
// rest: edge-triggered loops take a short read for an empty socket.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "preload/conn.h"

namespace remora::shim {

struct Incoming {
    int fd;
    const iovec* parts;  // the program's buffers
    size_t count;
    int flags = 0;
    bool may_limit = false;  // the original takes one buffer whose size we may lower
    void* arguments = nullptr;
    // The program's own call, with at most `limit` bytes where may_limit.
    ssize_t (*original)(const Incoming&, size_t limit) = nullptr;
};

ssize_t receive(Conn& conn, const Incoming& in);

// The program has looked at so many of the bytes that it reads next.
void note_peeked(Conn& conn, size_t bytes) noexcept;

// It has read so many of them.
void note_read(Conn& conn, size_t bytes) noexcept;

// Bytes that came in by a call which we only watch (recvmmsg, splice with `parts` == nullptr). None:
// the stream has ended.
void watch_received(Conn& conn, int fd, const iovec* parts, size_t count, size_t taken) noexcept;

}  // namespace remora::shim
