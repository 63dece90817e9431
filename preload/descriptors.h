// SPDX-License-Identifier: Apache-2.0
// Which descriptors are stream sockets that we follow: a flat table, indexed by descriptor, of
// atomics that point to connections (conn.h). Any thread; lock-free.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "preload/conn.h"

namespace remora::shim {

// The connection behind a descriptor, or nullptr: not a stream socket, opaque, or unknown and not
// to be asked. The first use of an unknown descriptor costs two getsockopt calls. errno may change.
Conn* conn_of(int fd) noexcept;
// Without asking the kernel: only what is in the table.
Conn* known_conn(int fd) noexcept;

// --- what the hooks tell; all of them are cheap for descriptors that we don't know ---------------
void note_socket(int fd, int domain, int type) noexcept;
void note_accepted(int fd, int flags, const sockaddr* peer, socklen_t size) noexcept;
void note_connecting(int fd, const sockaddr* peer, socklen_t size, uint64_t now) noexcept;
// It may be tried again with the same descriptor.
void note_connect_failed(int fd) noexcept;
void note_listening(int fd) noexcept;
void note_nonblocking(int fd, bool nonblocking) noexcept;
void note_duplicated(int from, int to) noexcept;
void note_unknown(int fd) noexcept;  // a descriptor of unknown kind arrived under this number
// Before the descriptor is closed, so that nobody else gets the number meanwhile. Does nothing in
// the child of a vfork, which runs on its parent's memory.
void note_closing(int fd) noexcept;
void note_closing_range(unsigned first, unsigned last) noexcept;

}  // namespace remora::shim
