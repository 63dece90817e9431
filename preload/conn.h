// SPDX-License-Identifier: Apache-2.0
// Connections: what is known of each, and who may change it. Which descriptor means which one stands
// in descriptors.h.
//
// A Conn is reused but never unmapped, so that a racing close can't make a reader fault. Each direction of a Conn is
// owned by the thread that is inside a call on it (compare-and-swap on `owner`); a second thread, or
// a signal handler in the middle, makes the connection opaque for good: bytes pass untouched.
#pragma once

#include <pthread.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>

#include "agent/context/collector.h"
#include "agent/protocol/protocol.h"
#include "bpf/abi/loss.h"
#include "bpf/abi/record.h"

namespace remora::shim {

// One direction, without its owner: can be copied to be able to go back.
struct DirectionState {
    ParserState parser;
    Message message;
    uint32_t current = 0;  // the exchange whose message is being parsed; 0: none
    MessageKind kind = MessageKind::request;
    bool in_message = false;
    bool in_head = false;
    bool cut = false;           // what is captured of the message was cut
    bool lines_passed = false;  // trace lines of the open head went by in earlier calls
};

// Changed only by its owner.
struct Direction : DirectionState {
    std::atomic<uintptr_t> owner{0};  // 0: nobody; else the address of the owner's thread_state
};

enum class Follow : uint8_t {
    fresh,      // nothing has passed yet, or not enough to know the protocol
    following,
};

enum Cleanup : uint8_t {
    cleanup_abandon = 1,  // finish what is open, the connection is opaque
    cleanup_close = 2,    // the last descriptor is gone
};

// What TLS a connection runs in, as far as the library has said.
struct TlsFacts {
    bool inside = false;   // its bytes are what a TLS library decrypts and encrypts
    bool resumed = false;
    uint16_t version = 0;  // as on the wire; 0: the handshake is not over
    uint16_t cipher = 0;   // IANA's number
    char alpn[REMORA_ALPN_MAX] = {};
};

struct Conn {
    std::atomic<uint32_t> references{0};  // table entries that name it; 1 where TLS has it
    std::atomic<uint32_t> generation{0};  // grows each time the object starts a new life
    std::atomic<bool> opaque{false};      // set by anybody; owners look before each call
    // What is left to do once nobody is inside: the last one to leave does it.
    std::atomic<uint8_t> cleanup{0};      // Cleanup
    std::atomic<uint8_t> queue_held{0};   // see hold_queue
    uint8_t abandoned_end = 0;            // remora_end for what is still open
    int32_t error_number = 0;             // errno of a failed call
    Follow follow = Follow::fresh;
    uint8_t role = REMORA_ROLE_UNKNOWN;
    bool accepted = false;      // came from accept(), or from before us: somebody else opened it
    bool born_seen = false;     // we saw the accept() or connect() itself
    bool blocking = true;
    bool in_epoll = false;
    bool held = false;          // the request direction waits for the answer to a switch
    bool peer_known = false;
    bool peer_closed = false;   // the stream from the peer has ended
    uint8_t prefix_size = 0;    // first bytes, kept until the protocol is known
    uint8_t prefix_direction = 0;
    uint8_t prefix[24];
    std::atomic<uint32_t> epoch{0};  // of the process that opened it: an earlier one was our parent's
    // Of the bytes that are read next, so many has the program looked at (MSG_PEEK), and of so many
    // does it know that they are there (FIONREAD): those must not change, these not in size.
    uint32_t peeked = 0;
    uint32_t counted = 0;
    uint32_t id = 0;            // of the object, in the pool
    uint32_t serial = 0;        // of the connection, within the process
    uint32_t sequence = 0;      // exchanges begun
    uint32_t first = 0;         // queue of open exchanges, oldest first; see hold_queue
    uint32_t last = 0;
    uint32_t open = 0;          // how many
    // Text of ours that the kernel took only in part; its rest goes out before anything else.
    uint32_t pending_buffer = 0;
    uint16_t pending_from = 0;
    uint16_t pending_size = 0;
    const Protocol* protocol = nullptr;
    uint64_t cookie = 0;        // SO_COOKIE; 0: not asked for yet
    uint64_t connect_ns = 0;    // when connect() began; 0: opened by somebody else
    uint32_t connect_thread = 0;
    std::atomic<uint32_t> opening{0};  // how it comes about, until that is told: opening.h
    remora_address peer{};
    TlsFacts tls;
    // Inside TLS: the plain connection that carries the records, if it is known, and which life.
    Conn* carrier = nullptr;
    uint32_t carrier_generation = 0;
    bool carries_tls = false;   // a plain connection whose first bytes are TLS records
    uint32_t tracestate = 0;    // buffer that the collector fills while a request head is open
    ContextCollector collector;
    Direction directions[2];    // indexed by remora_direction

    Direction& requests() { return directions[role == REMORA_ROLE_CLIENT ? 1 : 0]; }
    Direction& responses() { return directions[role == REMORA_ROLE_CLIENT ? 0 : 1]; }
};

// A connection with one reference, which its maker holds: the table of descriptors (descriptors.h),
// or a TLS session. nullptr: none left, counted.
Conn* make_conn() noexcept;
// The last one ends what is open; nobody enters it any more.
void drop_reference(Conn& conn) noexcept;
// false: the last one is gone. A count of zero is never raised again.
bool raise_references(Conn& conn) noexcept;
// Leaves what it knows where the address says nothing.
void set_peer(Conn& conn, const sockaddr* peer, socklen_t size) noexcept;
// Does its socket wait in every call, and nobody else wait for it? Inside TLS: the carrier's.
bool waits_in_calls(const Conn& conn) noexcept;

// --- ownership ---------------------------------------------------------------------------------
// Enters a direction for the length of one call; false: somebody is inside, the connection is now
// opaque and the call must pass untouched.
bool enter(Conn& conn, Direction& direction) noexcept;
// The same, and the descriptor still means this connection: it may have been closed, and the object
// begun another life, since conn_of().
bool enter(Conn& conn, Direction& direction, int fd) noexcept;
// The same for a connection that may be opaque: text of ours still has to go out.
bool own(Conn& conn, Direction& direction) noexcept;
// Cleans up after a close that happened meanwhile.
void leave(Conn& conn, Direction& direction) noexcept;

// Around the real call of an owner. A thread that is cancelled in it, or that a signal handler takes
// out of it by longjmp, does not come back: then nobody knows what the kernel took, the connection is
// opaque, and the direction is left. No destructor could do that, but glibc's own list of cleanups
// does; it costs two stores.
struct RealCall {
    _pthread_cleanup_buffer cleanup;
    Conn* conn;
    Direction* direction;
};
void begin_real_call(RealCall& call, Conn& conn, Direction& direction) noexcept;
void end_real_call(RealCall& call) noexcept;

// The queue of open exchanges is shared by both directions, so both owners may want it at once: each
// holds it for a few stores. false after a bounded wait (the holder was preempted, or is us below a
// signal handler): the connection has become opaque.
bool hold_queue(Conn& conn) noexcept;
void release_queue(Conn& conn) noexcept;

// The connection can't be followed any more: opaque from now on, and what is open ends with `end` as
// soon as nobody is inside. The caller owns one direction.
void abandon(Conn& conn, remora_end end, int error_number) noexcept;
// The same, counted, for a caller who owns none: bytes of this connection are about to move by calls
// that we don't see.
void bytes_go_past_us(Conn& conn, remora_loss reason = REMORA_LOSS_body_unseen) noexcept;

// When the first message begins: remembers which socket it is (SO_COOKIE).
void learn_identity(Conn& conn, int fd) noexcept;
// Is fd still the very socket that conn stands for? Asks SO_COOKIE; under a seccomp filter only a
// socket whose birth we saw is certain.
bool identity_certain(Conn& conn, int fd) noexcept;
// Fills conn.peer, at most once.
void learn_peer(Conn& conn, int fd) noexcept;

}  // namespace remora::shim
