// SPDX-License-Identifier: Apache-2.0
// Which plain connection carries a TLS session? From it come the peer, the time of the connect, and
// whether its thread waits in its calls (parent rule 3).
//
// In this order: the descriptor that the library names; the connection on which TLS records moved
// while the thread was inside the library (custom BIOs); the one that began with the session's
// ClientHello, told by its random (memory BIOs). None, or more than one: unknown.
#pragma once

#include "agent/base/bytes.h"
#include "preload/conn.h"
#include "preload/thread_state.h"
#include "preload/tls/channel.h"

namespace remora::shim {

// The first bytes of a plain connection are no protocol of ours: do TLS records begin here?
void note_first_bytes(Conn& plain, int fd, ByteView bytes) noexcept;

// A plain connection moved bytes that we don't follow.
void note_nested_bytes(Conn& plain, int fd) noexcept;
inline void note_unfollowed(Conn& plain, int fd) noexcept {
    if (__builtin_expect(thread_state.tls_channel != nullptr, 0)) note_nested_bytes(plain, fd);
}

constexpr size_t hello_random_size = 32;
// fd: -1 where the library names none. random: of the session's ClientHello, or nullptr. Asked when
// the handshake begins and again when it is over (`last`), until it is known.
void learn_carrier(TlsChannel& channel, int fd, const uint8_t* random, bool last) noexcept;

}  // namespace remora::shim
