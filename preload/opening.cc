// SPDX-License-Identifier: Apache-2.0
#include "preload/opening.h"

#include <cerrno>
#include <cstring>

#include "preload/descriptors.h"
#include "preload/lane_writer.h"
#include "preload/opening_state.h"
#include "preload/pool.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

// 4096 connections that are being opened, or were and have said nothing yet.
constinit Pool<Opening, 16, 256> openings;
constinit std::atomic<uint8_t> held{0};

// Another thread's connection was ready this long before the request: it was not opened for it.
constexpr uint64_t opened_for_another_ns = 1'000'000'000;

Opening* opening_of(const Conn& conn) noexcept {
    const uint32_t index = conn.opening.load(std::memory_order_acquire);
    return index == 0 ? nullptr : &openings.at(index);
}

// The connection has no more to do with it.
void let_go(Conn& conn) noexcept {
    const uint32_t index = conn.opening.exchange(0, std::memory_order_acq_rel);
    if (index == 0) return;
    Opening& opening = openings.at(index);
    if (opening.users > 0) --opening.users;
    if (opening.users > 0 || opening.pending) return;
    if (opening.span != 0) (void)discard_connect_span(opening);
    free_opening(index);
}

void attach(Conn& conn, uint32_t index) noexcept {
    Opening& opening = openings.at(index);
    ++opening.users;
    opening.connection = conn.serial;
    conn.opening.store(index, std::memory_order_release);
}

// Its index, or 0.
uint32_t begin(Conn& conn, uint64_t began_ns, uint64_t now) noexcept {
    const uint16_t family = conn.peer.family;
    const bool internet = family == AF_INET || family == AF_INET6;
    if (!internet && family != AF_UNIX) return 0;
    uint32_t index = internet ? take_lookup(conn.peer, began_ns) : 0;
    if (index == 0) index = new_opening();
    if (index == 0) return 0;
    Opening& opening = openings.at(index);
    opening.internet = internet;
    opening.peer = conn.peer;
    opening.used_ns = now;
    opening.gave_up = false;
    if (opening.began_ns == 0) opening.began_ns = began_ns;
    attach(conn, index);
    return index;
}

// The first connect of this opening that succeeds: what failed before it is told as events of
// its first exchange.
void succeed(Conn& conn, Opening& opening, uint64_t now) noexcept {
    const uint32_t index = conn.opening.load(std::memory_order_relaxed);
    if (opening.winner == conn.serial) return;
    if (opening.winner != 0) {  // a second one, of a race: all of its own
        let_go(conn);
        const uint32_t own = new_opening();
        if (own == 0) return;
        attach(conn, own);
        Opening& alone = openings.at(own);
        alone.internet = opening.internet;
        alone.peer = conn.peer;
        alone.began_ns = conn.connect_ns;
        return succeed(conn, alone, now);
    }
    opening.winner = conn.serial;
    opening.connection = conn.serial;
    opening.peer = conn.peer;
    opening.told.connect_start_ns = conn.connect_ns;
    opening.told.connect_end_ns = opening.used_ns = now;
    stop_waiting(index);
    bool certain = discard_connect_span(opening);
    if (opening.uncertain) {
        count_loss(REMORA_LOSS_opening_uncertain);
        opening.told.lookup_start_ns = opening.told.lookup_end_ns = 0;
        certain = false;
    }
    if (certain) return;
    opening.told.failed = 0;
    opening.began_ns = conn.connect_ns;
}

// The last one stands in the last place.
void add_attempt(Conn& conn, Opening& opening, int32_t error_number, uint64_t now) noexcept {
    remora_opening& told = opening.told;
    const unsigned place =
        told.failed < REMORA_ATTEMPTS_MAX ? told.failed : REMORA_ATTEMPTS_MAX - 1;
    ++told.failed;
    told.attempts[place] = {conn.connect_ns, now, conn.peer, error_number};
    opening.used_ns = now;
}

void fail(Conn& conn, Opening& opening, int32_t error_number, uint64_t now) noexcept {
    if (opening.believed && opening.winner == conn.serial) {
        opening.winner = 0;  // it had only been assumed
        opening.told.connect_start_ns = opening.told.connect_end_ns = 0;
    }
    if (opening.winner == conn.serial) return let_go(conn);
    if (opening.winner == 0) opening.peer = conn.peer;
    if (!opening.uncertain || opening.winner == 0) add_attempt(conn, opening, error_number, now);
    if (opening.winner != 0) return let_go(conn);  // the loser of a race that is won
    if (opening.users > 1) {                       // others are on their way
        --opening.users;
        conn.opening.store(0, std::memory_order_release);
        return;
    }
    if (fallback_may_follow(opening)) {
        let_span_stand(opening, now);
        --opening.users;
        thread_state.fallback = conn.opening.exchange(0, std::memory_order_acq_rel);
        opening.failed_on = &thread_state;
        return;
    }
    finish_connect_span(opening, now);
    stop_waiting(conn.opening.load(std::memory_order_relaxed));
    let_go(conn);
}

// A handshake that came to no end: the connection is of no use to anybody.
bool handshake_failed(const Opening& opening) noexcept {
    return opening.told.tls_start_ns != 0 &&
           (opening.told.tls_end_ns == 0 || opening.told.tls_failed != 0);
}

// The opening of this connection, for as long as it is held.
class Held {
public:
    explicit Held(const Conn& conn) noexcept : held_(hold_openings()) {
        // It may have ended, or changed, until now.
        opening_ = held_ ? opening_of(conn) : nullptr;
        if (opening_ != nullptr && opening_->epoch != process_epoch()) opening_ = nullptr;
    }
    ~Held() {
        if (held_) release_openings();
    }
    Held(const Held&) = delete;
    explicit operator bool() const noexcept { return opening_ != nullptr; }
    [[nodiscard]] bool held() const noexcept { return held_; }
    void take(uint32_t index) noexcept { opening_ = index == 0 ? nullptr : &openings.at(index); }
    Opening& operator*() const noexcept { return *opening_; }
    Opening* operator->() const noexcept { return opening_; }

private:
    bool held_;
    Opening* opening_;
};

bool is_opening(const Conn& conn) noexcept {
    return conn.opening.load(std::memory_order_relaxed) != 0;
}

bool answered(int fd) noexcept {
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    const int saved = errno;
    const bool connected = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    errno = saved;
    return connected;
}

// On its way, not there yet?
bool is_waiting(int error_number) noexcept {
    return error_number == EINPROGRESS || error_number == EALREADY || error_number == EINTR;
}

// Errors of the call itself, not of the way to the peer.
bool is_misuse(int error_number) noexcept {
    constexpr int all[] = {EBADF, ENOTSOCK, EFAULT, EINVAL, EAFNOSUPPORT, EPROTOTYPE, EAGAIN};
    for (const int one : all)
        if (error_number == one) return true;
    return false;
}

void note_result(Conn& conn, Opening& opening, int error_number) noexcept {
    const uint64_t now = monotonic_now();
    if (error_number == 0) return succeed(conn, opening, now);
    if (!is_waiting(error_number)) return fail(conn, opening, error_number, now);
    // Where the socket waits for its connect, it has waited: SO_SNDTIMEO.
    if (error_number == EINPROGRESS && conn.blocking) opening.gave_up = true;
    begin_connect_span(opening, now);
}

}  // namespace

bool hold_openings() noexcept {
    for (int attempt = 0; attempt < 1024; ++attempt) {
        uint8_t free = 0;
        if (held.compare_exchange_weak(free, 1, std::memory_order_acquire)) return true;
        __builtin_ia32_pause();
    }
    count_loss(REMORA_LOSS_opening_uncertain);
    return false;
}

void release_openings() noexcept { held.store(0, std::memory_order_release); }

uint32_t new_opening() noexcept {
    const uint32_t index = openings.allocate();
    if (index == 0) {
        count_loss(REMORA_LOSS_connection_table_full);
        return 0;
    }
    openings.at(index) = Opening{};
    openings.at(index).epoch = process_epoch();
    return index;
}

Opening& opening_at(uint32_t index) noexcept { return openings.at(index); }
void free_opening(uint32_t index) noexcept { openings.free(index); }

void forget_openings() noexcept { held.store(0, std::memory_order_relaxed); }

uint32_t begin_fallback() noexcept {
    const uint32_t index = thread_state.fallback;
    if (__builtin_expect(index == 0, 1)) return 0;
    thread_state.fallback = 0;
    if (!hold_openings()) return 0;
    Opening& opening = openings.at(index);
    const bool waits = opening.epoch == process_epoch() && opening.pending && opening.users == 0 &&
                       opening.failed_on == &thread_state;
    if (waits) {
        ++opening.users;
        begin_connect_span(opening, monotonic_now());
    }
    release_openings();
    return waits ? index : 0;
}

void end_fallback(uint32_t index) noexcept {
    if (__builtin_expect(index == 0, 1) || !hold_openings()) return;
    Opening& opening = openings.at(index);
    if (opening.epoch == process_epoch() && opening.users > 0 && --opening.users == 0) {
        const uint64_t now = monotonic_now();
        opening.used_ns = now;
        if (opening.pending) let_span_stand(opening, now);
    }
    release_openings();
}

void note_connect_returned(int fd, const sockaddr* to, socklen_t size, uint64_t began_ns,
                           int error_number) noexcept {
    if (is_misuse(error_number)) return note_connect_failed(fd);
    const bool asked = error_number == EISCONN;  // for the outcome, which is known by that
    if (!asked) note_connecting(fd, to, size, began_ns);
    Conn* conn = known_conn(fd);
    if (conn == nullptr || conn->follow != Follow::fresh) return;
    if (!thread_state.resolving) {
        Held opening(*conn);
        if (!opening && opening.held() && conn->connect_ns == began_ns)
            opening.take(begin(*conn, began_ns, monotonic_now()));
        if (opening) note_result(*conn, *opening, asked ? 0 : error_number);
    }
    if (!asked && error_number != 0 && !is_waiting(error_number)) note_connect_failed(fd);
}

void note_connect_outcome(Conn& conn, int fd, int error_number) noexcept {
    if (!is_opening(conn) || conn.follow != Follow::fresh) return;
    if (error_number != 0) return note_attempt_failed(conn, error_number);
    const Opening* known = opening_of(conn);
    if (known == nullptr || known->winner == conn.serial) return;
    if (!seccomp_filtered() && !answered(fd)) return;
    Held opening(conn);
    if (opening) succeed(conn, *opening, monotonic_now());
}

void note_attempt_failed(Conn& conn, int error_number) noexcept {
    if (!is_opening(conn)) return;
    Held opening(conn);
    if (opening && (opening->winner != conn.serial || opening->believed))
        fail(conn, *opening, error_number, monotonic_now());
}

void note_closing_unconnected(Conn& conn, int fd) noexcept {
    if (!is_opening(conn) || conn.follow != Follow::fresh) return;
    const Opening* known = opening_of(conn);
    if (known == nullptr || known->winner == conn.serial || known->told.tls_start_ns != 0) return;
    if (seccomp_filtered() || conn.references.load(std::memory_order_relaxed) != 1) return;
    int error_number = 0;
    socklen_t size = sizeof(error_number);
    const int saved = errno;
    if (real::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) error_number = 0;
    errno = saved;
    note_connect_outcome(conn, fd, error_number);
}

void end_opening(Conn& conn) noexcept {
    if (!is_opening(conn)) return;
    Held opening(conn);
    if (!opening) {
        conn.opening.store(0, std::memory_order_relaxed);
        return;
    }
    const uint64_t now = monotonic_now();
    if (opening->winner == 0 && opening->began_ns != 0) {
        const bool timed_out = thread_state.wait_timed_out || opening->gave_up;
        return fail(conn, *opening, timed_out ? REMORA_GAVE_UP_TIMEOUT : REMORA_GAVE_UP, now);
    }
    if (opening->winner != 0 && opening->winner != conn.serial)
        return fail(conn, *opening, REMORA_GAVE_UP, now);
    if (conn.follow == Follow::fresh && handshake_failed(*opening)) {
        opening->internet = opening->internet || opening->began_ns == 0;
        finish_connect_span(*opening, now);
    }
    let_go(conn);
}

uint64_t opening_began(const Conn& conn, uint64_t now) noexcept {
    if (conn.connect_ns == 0 && !is_opening(conn)) return 0;
    const bool own = conn.connect_thread == current_thread_id();
    Held opening(conn);
    if (!opening) return own ? conn.connect_ns : 0;
    const remora_opening& told = opening->told;
    const uint64_t ready = told.tls_end_ns != 0 ? told.tls_end_ns : told.connect_end_ns;
    if (!own && ready != 0 && now - ready > opened_for_another_ns) return 0;
    if (told.lookup_start_ns != 0 && !opening->uncertain) return told.lookup_start_ns;
    return opening->began_ns != 0 ? opening->began_ns : told.tls_start_ns;
}

uint16_t record_opening(Conn& conn, uint8_t* out, uint64_t now) noexcept {
    Held opening(conn);
    if (!opening || (opening->winner != 0 && opening->winner != conn.serial)) return 0;
    if (opening->began_ns != 0) {
        if (opening->winner == 0) {
            succeed(conn, *opening, now);
            opening->believed = true;
        } else if (opening->believed) {
            opening->told.connect_end_ns = now;
        }
    }
    memcpy(out, &opening->told, sizeof(opening->told));
    return sizeof(opening->told);
}

void opening_told(Conn& conn, uint8_t* recorded) noexcept {
    if (!is_opening(conn)) return;
    Held opening(conn);
    if (!opening) return;
    // The first request may have been what made the handshake.
    if (recorded != nullptr && opening->winner == conn.serial)
        memcpy(recorded, &opening->told, sizeof(opening->told));
    let_go(conn);
}

void note_handshake_begin(Conn& conn) noexcept {
    if (!session().active || conn.follow != Follow::fresh) return;
    if (!is_opening(conn)) {
        if (!hold_openings()) return;
        if (const uint32_t index = new_opening()) attach(conn, index);
        release_openings();
    }
    const uint64_t now = monotonic_now();
    Held opening(conn);
    if (!opening) return;
    if (opening->began_ns != 0 && opening->winner == 0) succeed(conn, *opening, now);
    if (opening->told.tls_start_ns == 0) opening->told.tls_start_ns = now;
}

void note_handshake_end(Conn& conn, bool done) noexcept {
    if (!is_opening(conn)) return;
    Held opening(conn);
    if (!opening || opening->told.tls_start_ns == 0 || opening->told.tls_end_ns != 0) return;
    opening->told.tls_end_ns = monotonic_now();
    opening->told.tls_failed = !done;
}

void move_opening(Conn& from, Conn& to) noexcept {
    if (&from == &to || !is_opening(from)) return;
    Held opening(from);
    if (!opening) return;
    if (opening->winner == 0) succeed(from, *opening, monotonic_now());
    if (opening->winner != from.serial) return;
    if (const Opening* handshake = opening_of(to)) {  // of a memory BIO: it began before we knew
        opening->told.tls_start_ns = handshake->told.tls_start_ns;
        opening->told.tls_end_ns = handshake->told.tls_end_ns;
        opening->told.tls_failed = handshake->told.tls_failed;
        let_go(to);
    }
    to.opening.store(from.opening.exchange(0), std::memory_order_release);
    opening->connection = opening->winner = to.serial;
}

}  // namespace remora::shim
