// SPDX-License-Identifier: Apache-2.0
#include "preload/ingress.h"

#include <sys/ioctl.h>

#include <cerrno>

#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/stream.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

constexpr unsigned received = REMORA_DIRECTION_RECEIVED;
// "traceparent: " + 55 + CRLF: what an insertion needs.
constexpr size_t reserve_size = 70;
// Below this, asking for less could keep a program from ever seeing a whole head.
constexpr size_t reserve_from = 280;

size_t total_of(const iovec* parts, size_t count) noexcept {
    size_t total = 0;
    for (size_t i = 0; i < count; ++i) total += parts[i].iov_len;
    return total;
}

bool transient(int error_number) noexcept {
    return error_number == EAGAIN || error_number == EINTR || error_number == ENOMEM ||
           error_number == EFAULT || error_number == EINVAL;
}

size_t reserve_for(const Conn& conn, const Incoming& in, size_t total) noexcept {
    if (!in.may_limit || total < reserve_from || (in.flags & MSG_WAITALL)) return 0;
    if (conn.peeked || conn.counted) return 0;
    if (!head_may_come(conn) || seccomp_filtered()) return 0;
    return (switches() & REMORA_SWITCH_NO_INGRESS_INSERT) ? 0 : reserve_size;
}

void feed_parts(Conn& conn, const iovec* parts, size_t count, size_t size, Call& call) noexcept {
    size_t base = 0;
    for (size_t i = 0; i < count && base < size; ++i) {
        const size_t part = parts[i].iov_len < size - base ? parts[i].iov_len : size - base;
        feed(conn, received, {static_cast<const uint8_t*>(parts[i].iov_base), part}, base, call);
        base += part;
    }
    call_ends(conn, received, call);
    note_read(conn, size);
}

// Lays edits over the bytes in several buffers: those that keep the size.
void apply_scattered(const EditList& edits, const iovec* parts, size_t count) noexcept {
    for (unsigned i = 0; i < edits.count; ++i) {
        const Edit& edit = edits.edits[i];
        size_t base = 0;
        for (size_t p = 0; p < count; base += parts[p++].iov_len) {
            for (size_t k = 0; k < edit.text_size; ++k) {
                const size_t at = edit.at + k;
                if (at >= base && at - base < parts[p].iov_len)
                    static_cast<char*>(parts[p].iov_base)[at - base] = edits.storage[edit.text + k];
            }
        }
    }
}

// What came in is fed and rewritten in the program's buffer. Returns the size that it is told.
__attribute__((noinline)) size_t take_head(Conn& conn, const Incoming& in, size_t size,
                                           size_t total, Call& call) noexcept {
    EditList edits;
    call.edits = &edits;
    call.room = total - size;
    call.same_size_only = in.count != 1;
    // A full buffer that is told to be less than full looks like the end of what there was, and only
    // where no descriptors can come along do we fetch the rest.
    call.may_shrink = size < total || (in.may_limit && !(in.flags & MSG_WAITALL) &&
                                       !seccomp_filtered());
    feed_parts(conn, in.parts, in.count, size, call);
    call.edits = nullptr;
    if (edits.count == 0) return size;
    if (in.count == 1) return apply_edits(edits, static_cast<uint8_t*>(in.parts[0].iov_base), size);
    apply_scattered(edits, in.parts, in.count);
    return size;
}

// What the kernel still has, without waiting. It is asked first whether it has anything: a receive
// call on an empty socket would take away an error that is the program's to see.
size_t read_more(int fd, void* data, size_t size) noexcept {
    int available = 0;
    if (real::ioctl(fd, FIONREAD, &available) != 0 || available <= 0) return 0;
    ssize_t more = real::recv(fd, data, size, MSG_DONTWAIT);
    // A close that we did not see, and now the number is a file's.
    if (more < 0 && errno == ENOTSOCK) more = real::read(fd, data, size);
    return more > 0 ? static_cast<size_t>(more) : 0;
}

// The read was as long as we let it be, and what the program would be told is shorter than what it
// asked for: the kernel may have more. One more read, bounded by the gap.
size_t top_up(Conn& conn, const Incoming& in, size_t told, size_t total, Call& call) noexcept {
    auto* data = static_cast<uint8_t*>(in.parts[0].iov_base);
    const size_t more = read_more(in.fd, data + told, total - told);
    if (more == 0) return told;
    const iovec rest{data + told, more};
    call.lines.clear();
    call.refusal = REMORA_LOSS_not_injected_no_room;
    feed_parts(conn, &rest, 1, rest.iov_len, call);
    return told + rest.iov_len;
}

size_t take(Conn& conn, const Incoming& in, size_t size, size_t asked, size_t total) noexcept {
    Call call;
    call.fd = in.fd;
    if (!head_may_come(conn) || size == 0) {
        feed_parts(conn, in.parts, in.count, size, call);
        if (asked == total) return size;
        return size == asked ? top_up(conn, in, size, total, call) : size;
    }
    const size_t told = take_head(conn, in, size, total, call);
    if (size == asked && told < total && in.may_limit && !seccomp_filtered())
        return top_up(conn, in, told, total, call);
    return told;
}

// MSG_TRUNC: the kernel throws the bytes away, but they were part of the stream.
ssize_t discard(Conn& conn, const Incoming& in, size_t total) noexcept {
    const ssize_t result = in.original(in, total);
    if (result > 0) {
        const int saved = errno;
        watch_received(conn, in.fd, nullptr, 0, static_cast<size_t>(result));
        errno = saved;
    }
    return result;
}

}  // namespace

ssize_t receive(Conn& conn, const Incoming& in) {
    const size_t total = total_of(in.parts, in.count);
    Direction& direction = conn.directions[received];
    if (in.flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) {
        const ssize_t seen = in.original(in, total);
        if ((in.flags & MSG_PEEK) && seen > 0) note_peeked(conn, static_cast<size_t>(seen));
        return seen;
    }
    if (in.flags & MSG_TRUNC) return discard(conn, in, total);
    if (!enter(conn, direction, in.fd)) {
        note_unfollowed(conn, in.fd);
        return in.original(in, total);
    }
    if (in.flags & MSG_DONTWAIT) conn.blocking = false;  // as good as: parent rule 3
    const size_t asked = total - reserve_for(conn, in, total);
    RealCall call;
    begin_real_call(call, conn, direction);
    const ssize_t result = in.original(in, asked);
    end_real_call(call);
    const int saved = errno;
    ssize_t told = result;
    if (conn.opaque.load(std::memory_order_relaxed)) {
        // Somebody else came in meanwhile. The bytes are the program's all the same, and a read
        // that we shortened must not look short.
        if (result > 0 && static_cast<size_t>(result) == asked && asked < total)
            told += static_cast<ssize_t>(read_more(
                in.fd, static_cast<char*>(in.parts[0].iov_base) + result, total - asked));
    } else if (result > 0) {
        told = static_cast<ssize_t>(take(conn, in, static_cast<size_t>(result), asked, total));
    } else if (result == 0 && total > 0) {
        Call looked;
        looked.fd = in.fd;
        end_of_stream(conn, received, looked);
    } else if (result < 0 && !transient(saved)) {
        call_failed(conn, received, saved);
    }
    leave(conn, direction);
    errno = saved;
    return told;
}

void note_peeked(Conn& conn, size_t bytes) noexcept {
    const auto most = static_cast<uint32_t>(bytes < UINT32_MAX ? bytes : UINT32_MAX);
    if (conn.peeked < most) conn.peeked = most;
}

void note_read(Conn& conn, size_t bytes) noexcept {
    conn.peeked = bytes < conn.peeked ? conn.peeked - static_cast<uint32_t>(bytes) : 0;
    conn.counted = bytes < conn.counted ? conn.counted - static_cast<uint32_t>(bytes) : 0;
}

void watch_received(Conn& conn, int fd, const iovec* parts, size_t count, size_t taken) noexcept {
    Direction& direction = conn.directions[received];
    if (!enter(conn, direction, fd)) return;
    const int saved = errno;
    Call call;
    call.fd = fd;
    call.refusal = REMORA_LOSS_not_injected_gather;
    if (taken == 0) {
        end_of_stream(conn, received, call);
    } else if (parts == nullptr) {
        feed_unseen(conn, received, taken, call);
        note_read(conn, taken);
    } else {
        feed_parts(conn, parts, count, taken, call);
    }
    leave(conn, direction);
    errno = saved;
}

}  // namespace remora::shim
