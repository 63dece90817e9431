// SPDX-License-Identifier: Apache-2.0
#include "preload/conn.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/lane_writer.h"
#include "preload/opening.h"
#include "preload/pool.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/stream.h"
#include "preload/thread_cleanup.h"
#include "preload/thread_state.h"

namespace remora::shim {

thread_local constinit ThreadState thread_state;

namespace {

constinit Pool<Conn, 64, 4096> conns;
constinit std::atomic<uint32_t> next_connection_id{1};

// Entries of the table that are no connections.
alignas(8) char ignored_mark;  // not a stream socket, or one that listens
alignas(8) char stream_mark;   // a stream socket that nothing is known of yet
Conn* const ignored = reinterpret_cast<Conn*>(&ignored_mark);
Conn* const stream = reinterpret_cast<Conn*>(&stream_mark);
bool is_real(const Conn* entry) { return entry != nullptr && entry != ignored && entry != stream; }

// Descriptors below 65,536 are in the first page, which is part of the library's BSS; programs that
// raise the limit get further pages as they need them.
constexpr unsigned page_size = 65536;
constexpr unsigned pages = 64;
using Entry = std::atomic<Conn*>;
constinit Entry first_page[page_size] = {};
constinit std::atomic<Entry*> further_pages[pages] = {};

Entry* entry_of(int fd, bool make) noexcept {
    const unsigned number = static_cast<unsigned>(fd);
    if (__builtin_expect(number < page_size, 1)) return &first_page[number];
    if (number >= page_size * pages) return nullptr;  // also negative ones
    std::atomic<Entry*>& page = further_pages[number / page_size];
    Entry* entries = page.load(std::memory_order_acquire);
    if (entries == nullptr && make) {
        const size_t bytes = sizeof(Entry) * page_size;
        void* memory =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return nullptr;
        if (page.compare_exchange_strong(entries, static_cast<Entry*>(memory)))
            entries = static_cast<Entry*>(memory);
        else
            ::munmap(memory, bytes);
    }
    return entries == nullptr ? nullptr : &entries[number % page_size];
}

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

void drop_reference(Conn* entry) noexcept {
    if (!is_real(entry)) return;
    if (entry->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    entry->cleanup.fetch_or(cleanup_close);
    try_cleanup(*entry);
}

// false: the last descriptor went between the look at the table and now, and the object may have
// begun another life. A count of zero is never raised again.
bool take_reference(Conn& conn, Entry& entry) noexcept {
    uint32_t count = conn.references.load(std::memory_order_acquire);
    do {
        if (count == 0) return false;
    } while (!conn.references.compare_exchange_weak(count, count + 1, std::memory_order_acq_rel));
    if (entry.load(std::memory_order_acquire) == &conn) return true;
    drop_reference(&conn);
    return false;
}

void put(int fd, Conn* what) noexcept {
    Entry* entry = entry_of(fd, what != nullptr);
    if (entry == nullptr) return;
    drop_reference(entry->exchange(what, std::memory_order_acq_rel));
}

void start_direction(Direction& direction, MessageKind kind) noexcept {
    static_cast<DirectionState&>(direction) = DirectionState{};
    direction.kind = kind;
}

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

void discard_conn(Conn& conn) noexcept { drop_reference(&conn); }

// Puts a new connection where `expected` stands, unless another thread was faster: then that one's.
Conn* install(int fd, Conn* expected, Conn* conn) noexcept {
    Entry* entry = entry_of(fd, true);
    Conn* wanted = conn != nullptr ? conn : ignored;
    if (entry != nullptr && entry->compare_exchange_strong(expected, wanted)) return conn;
    if (conn != nullptr) discard_conn(*conn);
    return is_real(expected) ? expected : nullptr;
}

// What is this descriptor? A few system calls, once per descriptor and life.
Conn* adopt(int fd) noexcept {
    if (seccomp_filtered()) return nullptr;  // the filter may kill for a getsockopt
    const int saved = errno;
    int type = 0, domain = 0, listening = 0;
    socklen_t size = sizeof(type);
    if (real::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
        // EBADF: the number may become anything the next moment.
        if (errno != EBADF || type != 0) install(fd, nullptr, nullptr);
        errno = saved;
        return nullptr;
    }
    size = sizeof(domain);
    real::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    size = sizeof(listening);
    real::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
    const bool ours = (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX) && !listening;
    if (listening) note_server();
    Conn* conn = ours ? make_conn() : nullptr;
    if (conn != nullptr) {
        const int flags = real::fcntl(fd, F_GETFL);
        conn->blocking = flags >= 0 && (flags & O_NONBLOCK) == 0;
        conn->accepted = true;  // somebody else opened it; the first bytes tell the role
    }
    conn = install(fd, nullptr, conn);
    errno = saved;
    return conn;
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

// The connection was open in our parent when it forked. Unused, it is ours from here on; in use, its
// exchanges are the parent's to finish and nothing about its bytes is certain.
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

Conn* open_detached() noexcept {
    Conn* conn = make_conn();
    if (conn != nullptr) conn->blocking = false;
    return conn;
}

void close_detached(Conn& conn) noexcept { drop_reference(&conn); }

bool waits_in_calls(const Conn& conn) noexcept {
    if (!conn.tls.inside) return conn.blocking && !conn.in_epoll;
    const Conn* carrier = conn.carrier;
    return carrier != nullptr && carrier->blocking && !carrier->in_epoll &&
           carrier->generation.load(std::memory_order_acquire) == conn.carrier_generation;
}

Conn* known_conn(int fd) noexcept {
    Entry* entry = entry_of(fd, false);
    if (entry == nullptr) return nullptr;
    Conn* conn = entry->load(std::memory_order_acquire);
    return is_real(conn) ? conn : nullptr;
}

Conn* conn_of(int fd) noexcept {
    Entry* entry = entry_of(fd, true);
    if (entry == nullptr) return nullptr;
    Conn* conn = entry->load(std::memory_order_acquire);
    if (conn == ignored) return nullptr;
    notice_fork();
    if (__builtin_expect(!tracing(), 0)) {
        // Switched off while it runs: what passes unseen from here on can't be made up for.
        if (!is_real(conn)) return nullptr;
        conn->opaque.store(true, std::memory_order_relaxed);
        return conn;
    }
    if (__builtin_expect(conn != nullptr && conn != stream, 1)) return conn;
    if (conn == nullptr) return adopt(fd);
    return install(fd, stream, make_conn());
}

void note_socket(int fd, int domain, int type) noexcept {
    if (!session().active || in_vfork_child()) return;
    const bool ours = (type & 0xf) == SOCK_STREAM &&
                      (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX);
    if (!ours) return put(fd, ignored);
    if ((type & SOCK_NONBLOCK) == 0) return put(fd, stream);
    Conn* conn = make_conn();
    if (conn != nullptr) conn->blocking = false;
    put(fd, conn);
}

void note_accepted(int fd, int flags, const sockaddr* peer, socklen_t size) noexcept {
    if (!session().active) return;
    note_server();
    // A thread that accepts while it still owes an answer serves several connections.
    if (thread_serves_open_request()) thread_state.multiplexes = true;
    Conn* conn = make_conn();
    if (conn != nullptr) {
        conn->accepted = true;
        conn->born_seen = true;
        conn->blocking = (flags & SOCK_NONBLOCK) == 0;
        set_peer(*conn, peer, size);
    }
    put(fd, conn != nullptr ? conn : ignored);
}

void note_connecting(int fd, const sockaddr* peer, socklen_t size, uint64_t now) noexcept {
    if (!session().active) return;
    Conn* conn = conn_of(fd);
    if (conn == nullptr) return;
    if (conn->follow != Follow::fresh || conn->opaque.load(std::memory_order_relaxed)) {
        const bool blocking = conn->blocking;  // a second life on the same descriptor
        conn = make_conn();
        if (conn != nullptr) conn->blocking = blocking;
        put(fd, conn);
        if (conn == nullptr) return;
    }
    conn->accepted = false;
    conn->born_seen = true;
    if (conn->connect_ns == 0) conn->connect_ns = now;  // a second call asks for the outcome
    conn->connect_thread = current_thread_id();
    set_peer(*conn, peer, size);
}

void note_connect_failed(int fd) noexcept {
    Conn* conn = known_conn(fd);
    if (conn == nullptr || conn->follow != Follow::fresh || in_vfork_child()) return;
    conn->connect_ns = 0;
    conn->error_number = 0;
}

void note_listening(int fd) noexcept {
    if (!session().active || in_vfork_child()) return;
    note_server();
    put(fd, ignored);
}

void note_nonblocking(int fd, bool nonblocking) noexcept {
    if (!session().active) return;
    Entry* entry = entry_of(fd, false);
    if (entry == nullptr) return;
    Conn* conn = entry->load(std::memory_order_acquire);
    if (conn == stream && nonblocking) conn = conn_of(fd);
    if (is_real(conn)) conn->blocking = !nonblocking;
}

void note_duplicated(int from, int to) noexcept {
    if (!session().active || from == to || in_vfork_child()) return;
    Entry* source = entry_of(from, false);
    Conn* conn = source == nullptr ? nullptr : source->load(std::memory_order_acquire);
    // Both numbers must share one state; what has not been asked of the one is asked now.
    if (conn == stream || conn == nullptr) conn = conn_of(from);
    if (is_real(conn) && !take_reference(*conn, *source)) conn = nullptr;  // closed meanwhile
    put(to, conn);
}

void note_unknown(int fd) noexcept {
    if (session().active && !in_vfork_child()) put(fd, nullptr);
}

void note_closing(int fd) noexcept {
    Entry* entry = entry_of(fd, false);
    if (entry == nullptr) return;
    Conn* conn = entry->load(std::memory_order_acquire);
    if (conn == nullptr) return;
    if (is_real(conn)) {
        if (in_vfork_child()) return;
        note_closing_unconnected(*conn, fd);
    }
    put(fd, nullptr);
}

void note_closing_range(unsigned first, unsigned last) noexcept {
    if (!session().active || in_vfork_child()) return;
    const unsigned limit = page_size * pages - 1;
    if (last > limit) last = limit;
    for (uint64_t fd = first; fd <= last; ++fd) {
        if (fd >= page_size && further_pages[fd / page_size].load(std::memory_order_acquire) == nullptr) {
            fd |= page_size - 1;  // nothing on this page
            continue;
        }
        Entry* entry = entry_of(static_cast<int>(fd), false);
        if (entry != nullptr && entry->load(std::memory_order_relaxed) != nullptr)
            put(static_cast<int>(fd), nullptr);
    }
}

bool own(Conn& conn, Direction& direction) noexcept {
    const uint32_t epoch = conn.epoch.load(std::memory_order_relaxed);
    if (__builtin_expect(epoch != process_epoch(), 0)) enter_epoch(conn, epoch);
    uintptr_t nobody = 0;
    const auto self = reinterpret_cast<uintptr_t>(&thread_state);
    if (direction.owner.compare_exchange_strong(nobody, self, std::memory_order_acquire)) return true;
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
