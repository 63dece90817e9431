// SPDX-License-Identifier: Apache-2.0
// Bytes that the program sends on a plain socket: watched after the call, or, where a request head
// may begin or is open, fed to the parser before it and sent with our lines in one sendmsg.
//
// What the program is told is always what the kernel did with the program's own bytes on this very
// call; EAGAIN is never ours. Insertions stand before the head's blank line, so that at least one
// byte of the program's still has to follow and a cut insertion can't be orphaned.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "preload/conn.h"

namespace remora::shim {

enum class Via : uint8_t { write, send, sendto, writev, sendmsg };

struct Outgoing {
    int fd;
    Via via;
    const iovec* parts;
    size_t count;
    int flags = 0;
    const msghdr* message = nullptr;     // sendmsg
    const sockaddr* to = nullptr;        // sendto
    socklen_t to_size = 0;
    // The program's own call, as it made it.
    ssize_t (*original)(const Outgoing&) noexcept = nullptr;
};

ssize_t transmit(Conn& conn, const Outgoing& out);

// sendfile and splice into the socket: `original` runs after what is pending has gone out.
struct OutgoingFile {
    int fd;
    void* arguments;
    ssize_t (*original)(void* arguments);
};
ssize_t transmit_file(Conn& conn, const OutgoingFile& out);

// Bytes that went out by a call which we only watch (sendmmsg).
void watch_sent(Conn& conn, int fd, const iovec* parts, size_t count, size_t taken) noexcept;

}  // namespace remora::shim
