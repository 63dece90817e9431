// SPDX-License-Identifier: Apache-2.0
#include "preload/descriptors.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include <cerrno>

#include "preload/opening.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/stream.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

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

// false: the last descriptor went between the look at the table and now, and the object may have
// begun another life.
bool take_reference(Conn& conn, Entry& entry) noexcept {
    if (!raise_references(conn)) return false;
    if (entry.load(std::memory_order_acquire) == &conn) return true;
    drop_reference(conn);
    return false;
}

void put(int fd, Conn* what) noexcept {
    Entry* entry = entry_of(fd, what != nullptr);
    if (entry == nullptr) return;
    Conn* before = entry->exchange(what, std::memory_order_acq_rel);
    if (is_real(before)) drop_reference(*before);
}

// Puts a new connection where `expected` stands, unless another thread was faster: then that one's.
Conn* install(int fd, Conn* expected, Conn* conn) noexcept {
    Entry* entry = entry_of(fd, true);
    Conn* wanted = conn != nullptr ? conn : ignored;
    if (entry != nullptr && entry->compare_exchange_strong(expected, wanted)) return conn;
    if (conn != nullptr) drop_reference(*conn);
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

}  // namespace

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
        if (fd >= page_size &&
            further_pages[fd / page_size].load(std::memory_order_acquire) == nullptr) {
            fd |= page_size - 1;  // nothing on this page
            continue;
        }
        Entry* entry = entry_of(static_cast<int>(fd), false);
        if (entry != nullptr && entry->load(std::memory_order_relaxed) != nullptr)
            put(static_cast<int>(fd), nullptr);
    }
}

}  // namespace remora::shim
