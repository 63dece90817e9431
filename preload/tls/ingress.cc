// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/ingress.h"

#include <cerrno>

#include "preload/ingress.h"
#include "preload/rewrite.h"
#include "preload/session.h"
#include "preload/stream.h"

namespace remora::shim {
namespace {

constexpr unsigned received = REMORA_DIRECTION_RECEIVED;

void look(Conn& conn, ByteView bytes, Call& call) noexcept {
    feed(conn, received, bytes, 0, call);
    call_ends(conn, received, call);
    note_read(conn, bytes.size);
}

// Fed and rewritten in the program's buffer. Returns the size that it is told.
__attribute__((noinline)) size_t take_head(Conn& conn, const TlsIncoming& in,
                                           size_t size) noexcept {
    EditList edits;
    Call call;
    call.edits = &edits;
    call.room = in.size - size;
    // A full buffer says that there may be more.
    call.may_shrink = size < in.size;
    look(conn, {in.data, size}, call);
    return edits.count == 0 ? size : apply_edits(edits, in.data, size);
}

size_t take(Conn& conn, const TlsIncoming& in, size_t size) noexcept {
    if (head_may_come(conn)) return take_head(conn, in, size);
    Call call;
    look(conn, {in.data, size}, call);
    return size;
}

void nothing_came(Conn& conn, ReadEnd end, int error_number) noexcept {
    if (end == ReadEnd::again) return;
    // A peer that goes without a word is no error of a call; errno is none, or an earlier call's.
    if (end == ReadEnd::failed && error_number != 0 && error_number != EAGAIN)
        return call_failed(conn, received, error_number);
    Call call;
    end_of_stream(conn, received, call);
}

// Room for a line of ours: "traceparent: " + 55 + CRLF. Not where it could keep a program from ever
// seeing a whole head, or where it knows what it is going to read.
size_t reserve_for(const Conn& conn, const TlsIncoming& in) noexcept {
    constexpr size_t reserve_size = 70;
    constexpr size_t reserve_from = 280;
    if (in.pending == nullptr || in.size < reserve_from || conn.peeked != 0) return 0;
    if (!head_may_come(conn) || (switches() & REMORA_SWITCH_NO_INGRESS_INSERT)) return 0;
    return reserve_size;
}

long call(Conn& conn, const TlsIncoming& in, uint8_t* data, size_t size) {
    RealCall real_call;
    begin_real_call(real_call, conn, conn.directions[received]);
    const long result = in.original(in, data, size);
    end_real_call(real_call);
    return result;
}

// The read was as long as we let it be: what is left of the record comes along, as it would have.
size_t top_up(Conn& conn, const TlsIncoming& in, size_t told) {
    if (told >= in.size || in.pending(in) == 0) return told;
    const long more = call(conn, in, in.data + told, in.size - told);
    if (more <= 0) return told;
    if (!conn.opaque.load(std::memory_order_relaxed)) {
        Call looked;
        looked.refusal = REMORA_LOSS_not_injected_no_room;
        look(conn, {in.data + told, static_cast<size_t>(more)}, looked);
    }
    return told + static_cast<size_t>(more);
}

long receive_owned(Conn& conn, const TlsIncoming& in) {
    if (!in.channel.facts_known) in.learn(in);
    const size_t asked = in.size - reserve_for(conn, in);
    long result = call(conn, in, in.data, asked);
    const int saved = errno;
    if (!in.channel.facts_known) in.learn(in);
    const bool opaque = conn.opaque.load(std::memory_order_relaxed);
    if (result > 0) {
        size_t told = static_cast<size_t>(result);
        const bool all = told == asked && asked < in.size;
        if (!opaque) told = take(conn, in, told);
        result = static_cast<long>(all ? top_up(conn, in, told) : told);
    } else if (in.size > 0 && !opaque) {
        nothing_came(conn, in.end(in, result), saved);
    }
    leave(conn, conn.directions[received]);
    errno = saved;
    return result;
}

}  // namespace

long tls_receive(const TlsIncoming& in) {
    Conn& conn = *in.channel.conn;
    InsideLibrary inside(in.session, &in.channel);
    const long result = enter(conn, conn.directions[received]) ? receive_owned(conn, in)
                                                               : in.original(in, in.data, in.size);
    inside.leave();
    return result;
}

void tls_received_elsewhere(TlsChannel& channel, ByteView bytes) noexcept {
    Conn& conn = *channel.conn;
    if (!enter(conn, conn.directions[received])) return;
    Call call;
    call.refusal = REMORA_LOSS_not_injected_no_room;
    if (bytes.size > 0)
        look(conn, bytes, call);
    else
        end_of_stream(conn, received, call);
    leave(conn, conn.directions[received]);
}

long tls_peek(const TlsIncoming& in) {
    InsideLibrary inside(in.session, &in.channel);
    const long seen = in.original(in, in.data, in.size);
    inside.leave();
    if (seen > 0) note_peeked(*in.channel.conn, static_cast<size_t>(seen));
    return seen;
}

}  // namespace remora::shim
