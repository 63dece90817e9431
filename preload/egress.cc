// SPDX-License-Identifier: Apache-2.0
#include "preload/egress.h"

#include <cerrno>

#include "preload/exchange_life.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/stream.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

constexpr unsigned sent = REMORA_DIRECTION_SENT;
constexpr size_t max_parts = 80;   // nginx sends up to 64; more are sent untouched
constexpr size_t max_copy = 4096;  // under a seccomp filter, for write() and send()

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

size_t total_of(const iovec* parts, size_t count) noexcept {
    size_t total = 0;
    for (size_t i = 0; i < count; ++i) total += parts[i].iov_len;
    return total;
}

bool transient(int error_number) noexcept {
    return error_number == EAGAIN || error_number == EINTR || error_number == ENOBUFS ||
           error_number == ENOMEM || error_number == EFAULT || error_number == EINVAL;
}

// Feeds the first `size` bytes of the parts.
void feed_parts(Conn& conn, const iovec* parts, size_t count, size_t size, Call& call) noexcept {
    size_t base = 0;
    for (size_t i = 0; i < count && base < size; ++i) {
        const size_t part = parts[i].iov_len < size - base ? parts[i].iov_len : size - base;
        feed(conn, sent, {static_cast<const uint8_t*>(parts[i].iov_base), part}, base, call);
        base += part;
    }
    call_ends(conn, sent, call);
}

bool pending(const Conn& conn) noexcept { return conn.pending_from < conn.pending_size; }

// May a head begin or be open here that we could add to?
bool may_rewrite(const Conn& conn, const Outgoing& out) noexcept {
    if (pending(conn)) return true;
    ByteView first;
    if (out.count > 0)
        first = {static_cast<const uint8_t*>(out.parts->iov_base), out.parts->iov_len};
    return head_may_go_out(conn, first, total_of(out.parts, out.count));
}

remora_loss refusal(const Outgoing& out) noexcept {
    if (out.flags & (MSG_ZEROCOPY | MSG_OOB | MSG_FASTOPEN)) return REMORA_LOSS_not_injected_flags;
    if (out.count > max_parts) return REMORA_LOSS_not_injected_gather;
    if (seccomp_filtered() && out.via != Via::writev && out.via != Via::sendmsg &&
        (out.to != nullptr || total_of(out.parts, out.count) > max_copy))
        return REMORA_LOSS_not_injected_seccomp;
    return REMORA_LOSS_COUNT;
}

// What goes to the kernel in one call: the rest of an earlier text, the program's bytes, our texts.
// A kilobyte counts: we may be on a signal's stack, or on a thread's of 16 KiB.
struct Layout {
    static constexpr size_t max_segments = max_parts + 2 * EditList::max_edits + 2;
    iovec parts[max_segments];           // the bytes on the wire
    const Edit* edits_of[max_segments];  // nullptr: they are the program's, or the earlier text's
    size_t count = 0;
    size_t rest = 0;  // bytes of the earlier text in front

    void add(const void* data, size_t size, const Edit* edit) {
        if (count == max_segments || (size == 0 && edit == nullptr)) return;
        edits_of[count] = edit;
        parts[count++] = {const_cast<void*>(data), size};
    }

    void lay(const Outgoing& out, const EditList& edits, unsigned next) {
        size_t base = 0, skip_to = 0;
        for (size_t i = 0; i < out.count; ++i) {
            const auto* data = static_cast<const uint8_t*>(out.parts[i].iov_base);
            const size_t end = base + out.parts[i].iov_len;
            size_t at = base < skip_to ? (skip_to < end ? skip_to : end) : base;
            while (next < edits.count && edits.edits[next].at < end) {
                const Edit& edit = edits.edits[next];
                if (edit.at > at) add(data + (at - base), edit.at - at, nullptr);
                add(edits.storage + edit.text, edit.text_size, &edit);
                skip_to = edit.at + edit.remove;
                at = skip_to < end ? skip_to : end;
                ++next;
            }
            if (at < end) add(data + (at - base), end - at, nullptr);
            base = end;
        }
    }
};

// For write() and send() under a seccomp filter. Not inlined: its stack is only for those.
__attribute__((noinline)) ssize_t send_copied(const Outgoing& out, const Layout& layout) noexcept {
    char copy[max_copy + EditList::storage_size];
    size_t size = 0;
    for (size_t i = 0; i < layout.count && size + layout.parts[i].iov_len <= sizeof(copy); ++i) {
        memcpy(copy + size, layout.parts[i].iov_base, layout.parts[i].iov_len);
        size += layout.parts[i].iov_len;
    }
    return out.via == Via::write ? real::write(out.fd, copy, size)
                                 : real::send(out.fd, copy, size, out.flags);
}

// One system call; under a seccomp filter the program's own.
ssize_t send_layout(const Outgoing& out, Layout& layout, bool again) noexcept {
    if (seccomp_filtered() && out.via == Via::writev)
        return real::writev(out.fd, layout.parts, static_cast<int>(layout.count));
    if (seccomp_filtered() && out.via != Via::sendmsg) return send_copied(out, layout);
    msghdr message{};
    if (out.message != nullptr) message = *out.message;
    if (again) message.msg_controllen = 0;  // descriptors are passed once
    if (out.to != nullptr) {
        message.msg_name = const_cast<sockaddr*>(out.to);
        message.msg_namelen = out.to_size;
    }
    message.msg_iov = layout.parts;
    message.msg_iovlen = layout.count;
    return real::sendmsg(out.fd, &message, out.flags);
}

// Out of memory for a few hundred bytes: the text must go out whole all the same, so this one call
// waits for the socket even where the program's would not have.
void send_rest_now(int fd, const char* text, size_t size) noexcept {
    while (size > 0) {
        const ssize_t taken = real::send(fd, text, size, MSG_NOSIGNAL);
        if (taken >= 0) {
            text += taken;
            size -= static_cast<size_t>(taken);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return;  // the connection is gone
        pollfd writable{fd, POLLOUT, 0};
        real::poll(&writable, 1, -1);
    }
}

// The kernel took `from` bytes of a text: the rest goes out before anything else.
void keep_rest(Conn& conn, int fd, const EditList& edits, const Edit& edit, size_t from) noexcept {
    const char* rest = edits.storage + edit.text + from;
    const size_t size = edit.text_size - from;
    conn.pending_buffer = allocate_pending_text();
    if (conn.pending_buffer == 0 || size > pending_text_max) return send_rest_now(fd, rest, size);
    memcpy(pending_text_at(conn.pending_buffer), rest, size);
    conn.pending_from = 0;
    conn.pending_size = static_cast<uint16_t>(size);
}

void pending_moved(Conn& conn, size_t bytes) noexcept {
    conn.pending_from = static_cast<uint16_t>(conn.pending_from + bytes);
    if (pending(conn)) return;
    free_pending_text(conn.pending_buffer);
    conn.pending_buffer = 0;
    conn.pending_from = conn.pending_size = 0;
}

// Maps what the kernel took to the program's bytes; keeps the rest of a text that was cut.
size_t account(Conn& conn, int fd, const Layout& layout, const EditList& edits, size_t taken,
               unsigned& edits_sent) noexcept {
    size_t program = 0;
    size_t first = 0;
    if (layout.rest > 0) {
        const size_t part = taken < layout.rest ? taken : layout.rest;
        pending_moved(conn, part);
        taken -= part;
        if (part < layout.rest) return 0;
        first = 1;
    }
    for (size_t i = first; i < layout.count; ++i) {
        const Edit* edit = layout.edits_of[i];
        const size_t size = layout.parts[i].iov_len;
        if (taken == 0 && size > 0) break;
        const size_t part = taken < size ? taken : size;
        taken -= part;
        if (edit == nullptr) {
            program += part;
        } else {
            ++edits_sent;
            if (size > 0) exchange_at(edit->exchange).inserted = true;
            program += edit->remove;
            if (part < size) keep_rest(conn, fd, edits, *edit, part);
        }
        if (part < size) break;
    }
    return program;
}

// Sends the program's bytes with the edits laid over them. The result is the program's. Not
// inlined: the parser's stack and the layout's are not needed at the same time.
__attribute__((noinline)) ssize_t send_edited(Conn& conn, const Outgoing& out,
                                              const EditList& edits,
                                              unsigned& edits_sent) noexcept {
    const size_t total = total_of(out.parts, out.count);
    bool again = false;
    for (;;) {
        Layout layout;
        if (pending(conn)) {
            layout.rest = static_cast<size_t>(conn.pending_size - conn.pending_from);
            layout.add(pending_text_at(conn.pending_buffer) + conn.pending_from, layout.rest,
                       nullptr);
        }
        layout.lay(out, edits, edits_sent);
        const ssize_t taken = send_layout(out, layout, again);
        if (taken < 0) return taken;
        again = true;
        const size_t program =
            account(conn, out.fd, layout, edits, static_cast<size_t>(taken), edits_sent);
        // Where only bytes of ours went out, 0 would say "closed": the kernel has to say more, be
        // it a real EAGAIN. Each round sends at least a byte of a bounded text.
        if (program > 0 || total == 0 || taken == 0) return static_cast<ssize_t>(program);
    }
}

// The program's bytes are fed before the kernel has them; afterwards the state goes back to what
// was really taken.
__attribute__((noinline)) ssize_t plan_and_send(Conn& conn, const Outgoing& out) noexcept {
    Direction& direction = conn.directions[sent];
    const size_t total = total_of(out.parts, out.count);
    EditList edits;
    Call call;
    call.fd = out.fd;
    call.edits = &edits;
    call.planning = true;
    call.room = ~size_t{0} >> 2;
    Checkpoint checkpoint;
    save(conn, sent, checkpoint);
    if (!conn.opaque.load(std::memory_order_relaxed))
        feed_parts(conn, out.parts, out.count, total, call);
    if (conn.opaque.load(std::memory_order_relaxed)) edits.count = 0;

    const bool ours = edits.count > 0 || pending(conn);
    unsigned edits_sent = 0;
    RealCall real_call;
    begin_real_call(real_call, conn, direction);
    const ssize_t result = ours ? send_edited(conn, out, edits, edits_sent) : out.original(out);
    end_real_call(real_call);
    const int saved = errno;
    const size_t taken = result > 0 ? static_cast<size_t>(result) : 0;
    if (taken == total) {
        keep_plan(conn, checkpoint, call);
    } else if (!conn.opaque.load(std::memory_order_relaxed)) {
        go_back(conn, sent, checkpoint, call);
        call.lines.clear();
        call.removed = &edits;
        call.removed_count = edits_sent;
        feed_parts(conn, out.parts, out.count, taken, call);
        end_replay(conn, call);
    }
    if (result < 0 && !transient(saved)) call_failed(conn, sent, saved);
    leave(conn, direction);
    errno = saved;
    return result;
}

}  // namespace

ssize_t transmit(Conn& conn, const Outgoing& out) {
    Direction& direction = conn.directions[sent];
    if (__builtin_expect(pending(conn), 0)) {
        if (total_of(out.parts, out.count) == 0) return out.original(out);
        if (!own(conn, direction)) return out.original(out);
        return plan_and_send(conn, out);
    }
    if (!enter(conn, direction, out.fd)) {
        note_unfollowed(conn, out.fd);
        return out.original(out);
    }
    Call call;
    call.fd = out.fd;
    if (may_rewrite(conn, out)) {
        call.refusal = refusal(out);
        if (call.refusal == REMORA_LOSS_COUNT) return plan_and_send(conn, out);
    }
    RealCall real_call;
    begin_real_call(real_call, conn, direction);
    const ssize_t result = out.original(out);
    end_real_call(real_call);
    const int saved = errno;
    if (result > 0 && (out.flags & MSG_OOB) == 0)
        feed_parts(conn, out.parts, out.count, static_cast<size_t>(result), call);
    else if (result > 0)
        abandon(conn, REMORA_END_UNFOLLOWED, 0);  // urgent bytes are no part of the stream
    else if (result < 0 && !transient(saved))
        call_failed(conn, sent, saved);
    leave(conn, direction);
    errno = saved;
    return result;
}

ssize_t transmit_file(Conn& conn, const OutgoingFile& out) {
    Direction& direction = conn.directions[sent];
    const bool text_first = pending(conn);
    if (!(text_first ? own(conn, direction) : enter(conn, direction, out.fd)))
        return out.original(out.arguments);
    RealCall real_call;
    begin_real_call(real_call, conn, direction);
    while (pending(conn)) {  // a head can't go on in a file before our text is out
        const ssize_t taken =
            real::send(out.fd, pending_text_at(conn.pending_buffer) + conn.pending_from,
                       static_cast<size_t>(conn.pending_size - conn.pending_from), 0);
        if (taken < 0) {
            const int saved = errno;
            end_real_call(real_call);
            leave(conn, direction);
            errno = saved;
            return -1;
        }
        pending_moved(conn, static_cast<size_t>(taken));
    }
    const ssize_t result = out.original(out.arguments);
    end_real_call(real_call);
    const int saved = errno;
    if (!conn.opaque.load(std::memory_order_relaxed)) {
        Call call;
        call.fd = out.fd;
        if (result > 0) feed_unseen(conn, sent, static_cast<uint64_t>(result), call);
        if (result < 0 && !transient(saved)) call_failed(conn, sent, saved);
    }
    leave(conn, direction);
    errno = saved;
    return result;
}

void watch_sent(Conn& conn, int fd, const iovec* parts, size_t count, size_t taken) noexcept {
    Direction& direction = conn.directions[sent];
    if (!enter(conn, direction, fd)) return;
    const int saved = errno;
    Call call;
    call.fd = fd;
    call.refusal = REMORA_LOSS_not_injected_gather;
    feed_parts(conn, parts, count, taken, call);
    leave(conn, direction);
    errno = saved;
}

}  // namespace remora::shim
