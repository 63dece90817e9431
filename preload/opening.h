// SPDX-License-Identifier: Apache-2.0
// How a client's connection comes about: its host's name is looked up, connects fail, one succeeds,
// TLS shakes hands. All of that is told with the connection's first exchange (struct
// remora_opening); where it comes to none because no connect succeeded, or no handshake, it is
// a span of its own (connect_span.h).
//
// Any thread and signal handlers: an opening is changed by whoever holds them all (opening_state.h)
// for a few stores. Nothing here allocates, changes errno, or makes a system call unless said.
#pragma once

#include <netdb.h>

#include <cstdint>

#include "preload/conn.h"

namespace remora::shim {

struct Exchange;

// --- the handshake, for a client's TLS -------------------------------------------------------
// Its first step is about to be made; later steps change nothing. On a connection that was not seen
// to be opened (memory BIOs), the handshake is all there is to tell.
void note_handshake_begin(Conn& conn) noexcept;
// It is done, or has failed for good (not WANT_READ, WANT_WRITE). The first call counts.
void note_handshake_end(Conn& conn, bool done) noexcept;
// The exchanges of the plain connection are those of the TLS session in it from here on: what is
// known of its opening, too. The session's handshake may have begun, and ended, before.
void move_opening(Conn& from, Conn& to) noexcept;

// --- connect(), for hooks_descriptor.cc and conn.cc ------------------------------------------
// Before connect(): what this thread's last connect failed to reach may be reached by this one, so
// that failure does not stand meanwhile. What it returns is given to end_fallback() when the call
// is over.
uint32_t begin_fallback() noexcept;
void end_fallback(uint32_t opening) noexcept;
// connect() on fd has returned: error_number, or 0.
void note_connect_returned(int fd, const sockaddr* to, socklen_t size, uint64_t began_ns,
                           int error_number) noexcept;
// The program learns what became of a connect that it did not wait for (SO_ERROR). Makes a system
// call where the answer is 0: that is also said of a connect that is still on its way.
void note_connect_outcome(Conn& conn, int fd, int error_number) noexcept;
// A first byte could not be sent or read.
void note_attempt_failed(Conn& conn, int error_number) noexcept;
// The last descriptor is about to be closed. Asks the socket how it stands where the program has
// not: two system calls.
void note_closing_unconnected(Conn& conn, int fd) noexcept;
// The connection is gone.
void end_opening(Conn& conn) noexcept;

// --- the first exchange, for exchange_life.cc ------------------------------------------------
// When the opening of this connection began, if it was opened for a request that begins now; 0: it
// was not.
uint64_t opening_began(const Conn& conn, uint64_t now) noexcept;
// Writes a struct remora_opening to `out`; its size, or 0 for none.
uint16_t record_opening(Conn& conn, uint8_t* out, uint64_t now) noexcept;
// The first request is with the kernel: its record tells the opening, and nothing else does.
// `recorded`: where record_opening() wrote it, or nullptr.
void opening_told(Conn& conn, uint8_t* recorded) noexcept;

// --- lookups, for hooks_lookup.cc ------------------------------------------------------------
// What a lookup returned. Each address once, in one form: IPv4 in IPv6 is IPv4.
struct HostAddress {
    uint16_t family = 0;
    uint8_t bytes[16] = {};
};
struct HostAddresses {
    static constexpr unsigned most = 12;
    HostAddress list[most];
    unsigned count = 0;
    bool more = false;  // there were some that had no room

    void add(int family, const void* bytes) noexcept;
    void add(const sockaddr* address, socklen_t size) noexcept;
};
void note_lookup(const char* host, uint64_t start_ns, uint64_t end_ns,
                 const HostAddresses& found) noexcept;

// A forked child: lookups and attempts are its parent's to finish.
void forget_openings() noexcept;

}  // namespace remora::shim
