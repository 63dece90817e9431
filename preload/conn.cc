// SPDX-License-Identifier: Apache-2.0
#include "preload/conn.h"

#include <netinet/in.h>
#include <unistd.h>

#include "preload/descriptors.h"
#include "preload/lane_writer.h"
#include "preload/pool.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/stream.h"
#include "preload/thread_cleanup.h"
#include "preload/thread_state.h"

namespace remora::shim {

thread_local constinit ThreadState thread_state;

namespace {

constinit Pool<Conn, 64, 4096> conns;
constinit std::atomic<uint32_t> next_connection_id{1};

constexpr uintptr_t releasing = 1;  // owner of both directions while a connection is cleaned up

// Cleans up once nobody is inside. Called by whoever asks for the cleanup and by every owner that
// leaves afterwards: one of them finds both directions free.
void try_cleanup(Conn& conn) noexcept {
    for (int attempt = 0; attempt < 8; ++attempt) {
        if (conn.cleanup.load(std::memory_order_seq_cst) == 0) return;
        uintptr_t nobody = 0;
        if (!conn.directions[0].owner.compare_exchange_strong(nobody, releasing)) return;
        nobody = 0;
        if (conn.directions[1].owner.compare_exchange_strong(nobody, releasing)) {
            const uint8_t wanted = conn.cleanup.exchange(0);
            if (wanted != 0) finish_open_exchanges(conn, (wanted & cleanup_close) != 0);
            if (wanted & cleanup_close) conn.generation.fetch_add(1, std::memory_order_acq_rel);
            conn.directions[0].owner.store(0);
            conn.directions[1].owner.store(0);
            if (wanted & cleanup_close) conns.free(conn.id);
            return;
        }
        conn.directions[0].owner.store(0);
        // The other owner may have left between our two attempts and seen us inside: look again.
        if (conn.directions[1].owner.load() != 0) return;
    }
}

void start_direction(Direction& direction, MessageKind kind) noexcept {
    static_cast<DirectionState&>(direction) = DirectionState{};
    direction.kind = kind;
}

// glibc runs this with the frames of the call still there, before it unwinds them.
void real_call_left(void* argument) noexcept {
    const RealCall& call = *static_cast<RealCall*>(argument);
    thread_state.tls_session = nullptr;
    abandon(*call.conn, REMORA_END_UNFOLLOWED, 0);
    leave(*call.conn, *call.direction);
}

// Unique among all sockets since boot; 0: not a socket.
uint64_t cookie_of(int fd) noexcept {
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);
    const int saved = errno;
    if (real::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) cookie = 0;
    errno = saved;
    return cookie;
}

// The connection was open in our parent when it forked. Unused, it is ours from here on; in use,
// its exchanges are the parent's to finish and nothing about its bytes is certain.
void enter_epoch(Conn& conn, uint32_t from) noexcept {
    // Only one thread of the child makes the change; another one that comes in between finds the
    // directions owned.
    if (!conn.epoch.compare_exchange_strong(from, process_epoch())) return;
    const bool idle = conn.open == 0 && !conn.directions[0].in_message &&
                      !conn.directions[1].in_message && conn.prefix_size == 0;
    conn.directions[0].owner.store(0);
    conn.directions[1].owner.store(0);
    conn.queue_held.store(0);  // by a thread that the child doesn't have
    if (idle) return;
    conn.first = conn.last = conn.open = 0;
    conn.cleanup.store(0);
    conn.directions[0].current = conn.directions[1].current = 0;
    conn.pending_size = conn.pending_from = 0;
    if (!conn.opaque.exchange(true)) count_loss(REMORA_LOSS_forked_open);
}

}  // namespace

Conn* make_conn() noexcept {
    const uint32_t index = conns.allocate();
    if (index == 0) {
        count_loss(REMORA_LOSS_connection_table_full);
        return nullptr;
    }
    Conn& conn = conns.at(index);
    conn.references.store(1, std::memory_order_relaxed);
    conn.opaque.store(false, std::memory_order_relaxed);
    conn.follow = Follow::fresh;
    conn.role = REMORA_ROLE_UNKNOWN;
    conn.accepted = conn.born_seen = conn.in_epoll = conn.held = false;
    conn.peeked = conn.counted = 0;
    conn.peer_known = conn.peer_closed = false;
    conn.abandoned_end = 0;
    conn.error_number = 0;
    conn.blocking = true;
    conn.prefix_size = 0;
    conn.epoch = process_epoch();
    conn.id = index;
    conn.serial = next_connection_id.fetch_add(1, std::memory_order_relaxed);
    conn.sequence = conn.first = conn.last = conn.open = 0;
    conn.pending_from = conn.pending_size = 0;
    conn.pending_buffer = 0;
    conn.protocol = nullptr;
    conn.cookie = conn.connect_ns = 0;
    conn.connect_thread = 0;
    conn.peer = remora_address{};
    conn.tls = TlsFacts{};
    conn.carrier = nullptr;
    conn.carries_tls = false;
    conn.tracestate = 0;
    start_direction(conn.directions[0], MessageKind::request);
    start_direction(conn.directions[1], MessageKind::request);
    return &conn;
}

void drop_reference(Conn& conn) noexcept {
    if (conn.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    conn.cleanup.fetch_or(cleanup_close);
    try_cleanup(conn);
}

bool raise_references(Conn& conn) noexcept {
    uint32_t count = conn.references.load(std::memory_order_acquire);
    do {
        if (count == 0) return false;
    } while (!conn.references.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel));
    return true;
}

void set_peer(Conn& conn, const sockaddr* peer, socklen_t size) noexcept {
    if (peer == nullptr || size < sizeof(sa_family_t)) return;
    conn.peer.family = peer->sa_family;
    if (peer->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(peer);
        conn.peer.port = __builtin_bswap16(in->sin_port);
        memcpy(conn.peer.bytes, &in->sin_addr, 4);
        conn.peer_known = true;
    } else if (peer->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        const auto* in = reinterpret_cast<const sockaddr_in6*>(peer);
        conn.peer.port = __builtin_bswap16(in->sin6_port);
        static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        if (memcmp(&in->sin6_addr, mapped, 12) == 0) {  // ::ffff:192.0.2.1 is an IPv4 peer
            conn.peer.family = AF_INET;
            memcpy(conn.peer.bytes, reinterpret_cast<const uint8_t*>(&in->sin6_addr) + 12, 4);
        } else {
            memcpy(conn.peer.bytes, &in->sin6_addr, 16);
        }
        conn.peer_known = true;
    } else if (peer->sa_family == AF_UNIX) {
        conn.peer_known = true;
    }
}

bool waits_in_calls(const Conn& conn) noexcept {
    if (!conn.tls.inside) return conn.blocking && !conn.in_epoll;
    const Conn* carrier = conn.carrier;
    return carrier != nullptr && carrier->blocking && !carrier->in_epoll &&
           carrier->generation.load(std::memory_order_acquire) == conn.carrier_generation;
}

bool own(Conn& conn, Direction& direction) noexcept {
    const uint32_t epoch = conn.epoch.load(std::memory_order_relaxed);
    if (__builtin_expect(epoch != process_epoch(), 0)) enter_epoch(conn, epoch);
    uintptr_t nobody = 0;
    const auto self = reinterpret_cast<uintptr_t>(&thread_state);
    if (direction.owner.compare_exchange_strong(nobody, self, std::memory_order_acquire))
        return true;
    if (!conn.opaque.exchange(true)) count_loss(REMORA_LOSS_concurrent_use);
    return false;
}

bool enter(Conn& conn, Direction& direction) noexcept {
    const uint32_t epoch = conn.epoch.load(std::memory_order_relaxed);
    if (__builtin_expect(epoch != process_epoch(), 0)) enter_epoch(conn, epoch);
    return !conn.opaque.load(std::memory_order_relaxed) && own(conn, direction);
}

bool enter(Conn& conn, Direction& direction, int fd) noexcept {
    if (!enter(conn, direction)) return false;
    // Owned, the object can't begin another life; it may have done so before.
    if (known_conn(fd) == &conn) return true;
    leave(conn, direction);
    return false;
}

void leave(Conn& conn, Direction& direction) noexcept {
    direction.owner.store(0, std::memory_order_seq_cst);
    if (__builtin_expect(conn.cleanup.load(std::memory_order_seq_cst) != 0, 0)) try_cleanup(conn);
}

void begin_real_call(RealCall& call, Conn& conn, Direction& direction) noexcept {
    call.conn = &conn;
    call.direction = &direction;
    _pthread_cleanup_push(&call.cleanup, real_call_left, &call);
}

void end_real_call(RealCall& call) noexcept { _pthread_cleanup_pop(&call.cleanup, 0); }

bool hold_queue(Conn& conn) noexcept {
    for (int attempt = 0; attempt < 4096; ++attempt) {
        uint8_t free = 0;
        if (conn.queue_held.compare_exchange_weak(free, 1, std::memory_order_acquire)) return true;
        __builtin_ia32_pause();
    }
    if (!conn.opaque.exchange(true)) count_loss(REMORA_LOSS_concurrent_use);
    return false;
}

void release_queue(Conn& conn) noexcept { conn.queue_held.store(0, std::memory_order_release); }

void abandon(Conn& conn, remora_end end, int error_number) noexcept {
    if (conn.abandoned_end == 0) {
        conn.abandoned_end = static_cast<uint8_t>(end);
        conn.error_number = error_number;
    }
    conn.opaque.store(true, std::memory_order_relaxed);
    conn.cleanup.fetch_or(cleanup_abandon);  // leave() sees to it
}

void bytes_go_past_us(Conn& conn, remora_loss reason) noexcept {
    if (conn.opaque.load(std::memory_order_relaxed)) return;
    count_loss(reason);
    Direction& direction = conn.directions[REMORA_DIRECTION_SENT];
    if (!own(conn, direction)) return;  // opaque now; who is inside sees it
    abandon(conn, REMORA_END_UNFOLLOWED, 0);
    leave(conn, direction);
}

void learn_identity(Conn& conn, int fd) noexcept {
    if (conn.cookie == 0 && fd >= 0 && !seccomp_filtered()) conn.cookie = cookie_of(fd);
}

bool identity_certain(Conn& conn, int fd) noexcept {
    if (known_conn(fd) != &conn) return false;
    if (seccomp_filtered()) return conn.born_seen;
    return conn.cookie != 0 && conn.cookie == cookie_of(fd);
}

void learn_peer(Conn& conn, int fd) noexcept {
    if (conn.peer_known || seccomp_filtered()) return;
    conn.peer_known = true;
    const int saved = errno;
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0)
        set_peer(conn, reinterpret_cast<sockaddr*>(&peer), size);
    errno = saved;
}

}  // namespace remora::shim
