// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/carrier.h"

#include <cerrno>

#include "preload/descriptors.h"
#include "preload/opening.h"

namespace remora::shim {
namespace {

// RFC 8446, 5.1 and 4.1.2: a record's header, a handshake message's, the version, the random.
constexpr uint8_t handshake_record = 22;
constexpr uint8_t client_hello = 1;
constexpr size_t random_at = 5 + 4 + 2;

// Peers choose their randoms, but only on their own connections: an equal one is taken for
// nobody's.
uint64_t key_of(const uint8_t* random) noexcept {
    uint64_t words[4];
    memcpy(words, random, sizeof(words));
    uint64_t key = 0x9e3779b97f4a7c15ull;
    for (uint64_t word : words) {
        key = (key ^ word) * 0xff51afd7ed558ccdull;
        key ^= key >> 32;
    }
    return key > 1 ? key : 2;
}

// Connections whose ClientHello has been seen and not yet asked for. Lock-free, fixed size; who
// finds no place only costs a memory BIO its peer.
class HelloTable {
public:
    void add(uint64_t key, Conn& conn, int fd) noexcept {
        const uint32_t start = static_cast<uint32_t>(key) % size;
        for (uint32_t i = 0; i < window; ++i)
            if (place(entries_[(start + i) % size], key, conn, fd, i + 1 == window)) return;
    }

    // The one connection of this key that was opened by the right side, or nullptr.
    Conn* find(uint64_t key, bool accepted, uint32_t& generation, int& fd) noexcept {
        const uint32_t start = static_cast<uint32_t>(key) % size;
        Conn* found = nullptr;
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entries_[(start + i) % size];
            if (entry.key.load(std::memory_order_acquire) != key) continue;
            Conn* conn = entry.conn;
            const uint32_t life = entry.generation;
            const int number = entry.fd;
            std::atomic_thread_fence(std::memory_order_acquire);
            if (entry.key.load(std::memory_order_relaxed) != key || !alive(conn, life)) continue;
            if (conn->accepted != accepted) continue;
            if (found != nullptr) return nullptr;
            found = conn;
            generation = life;
            fd = number;
        }
        return found;
    }

private:
    static constexpr uint32_t size = 4096;
    static constexpr uint32_t window = 16;
    static constexpr uint64_t busy = 1;

    struct Entry {
        std::atomic<uint64_t> key;  // 0: free; busy: being written
        Conn* conn;
        uint32_t generation;
        int fd;
    };

    static bool alive(const Conn* conn, uint32_t generation) noexcept {
        return conn != nullptr && conn->generation.load(std::memory_order_acquire) == generation;
    }

    static bool place(Entry& entry, uint64_t key, Conn& conn, int fd, bool last) noexcept {
        uint64_t there = entry.key.load(std::memory_order_acquire);
        if (there == busy) return false;
        if (there != 0 && !last && alive(entry.conn, entry.generation)) return false;
        if (!entry.key.compare_exchange_strong(there, busy, std::memory_order_acq_rel))
            return false;
        entry.conn = &conn;
        entry.generation = conn.generation.load(std::memory_order_relaxed);
        entry.fd = fd;
        entry.key.store(key, std::memory_order_release);
        return true;
    }

    Entry entries_[size] = {};
};

constinit HelloTable hellos;

void adopt(TlsChannel& channel, Conn& plain, uint32_t generation, int fd) noexcept {
    Conn& conn = *channel.conn;
    if (fd >= 0 && known_conn(fd) == &plain) learn_peer(plain, fd);
    conn.peer = plain.peer;
    conn.peer_known = plain.peer_known;
    if (!conn.born_seen) {  // the library doesn't say who is the client
        conn.accepted = plain.accepted;
        conn.born_seen = plain.born_seen;
    }
    // Where it served a request before (CONNECT), that one waited for the connection.
    if (plain.sequence == 0) {
        conn.connect_ns = plain.connect_ns;
        conn.connect_thread = plain.connect_thread;
        move_opening(plain, conn);
    }
    conn.carrier_generation = generation;
    conn.carrier = &plain;
    channel.carrier_known = true;
}

}  // namespace

void note_first_bytes(Conn& plain, int fd, ByteView bytes) noexcept {
    if (plain.prefix_size > 0 || bytes.size == 0 || bytes[0] != handshake_record) return;
    if (bytes.size > 1 && bytes[1] != 3) return;
    plain.carries_tls = true;
    note_unfollowed(plain, fd);
    if (bytes.size < random_at + hello_random_size || bytes[5] != client_hello) return;
    hellos.add(key_of(bytes.data + random_at), plain, fd);
}

void note_nested_bytes(Conn& plain, int fd) noexcept {
    TlsChannel& channel = *thread_state.tls_channel;
    // A callback of the program's may talk to somebody else meanwhile.
    if (channel.carrier_known || channel.nested != nullptr || !plain.carries_tls) return;
    channel.nested_generation = plain.generation.load(std::memory_order_relaxed);
    channel.nested_fd = fd;
    channel.nested = &plain;
}

void learn_carrier(TlsChannel& channel, int fd, const uint8_t* random, bool last) noexcept {
    if (channel.carrier_known) return;
    const int saved = errno;
    Conn* plain = fd >= 0 ? conn_of(fd) : nullptr;
    uint32_t generation = plain != nullptr ? plain->generation.load() : 0;
    if (plain == nullptr && channel.nested != nullptr) {
        plain = channel.nested;
        generation = channel.nested_generation;
        fd = channel.nested_fd;
        if (plain->generation.load(std::memory_order_acquire) != generation) plain = nullptr;
    }
    if (plain == nullptr && random != nullptr)
        plain = hellos.find(key_of(random), channel.conn->accepted, generation, fd);
    if (plain != nullptr)
        adopt(channel, *plain, generation, fd);
    else if (last)
        channel.carrier_known = true;
    errno = saved;
}

}  // namespace remora::shim
