// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/channel.h"

#include "preload/lane_writer.h"
#include "preload/opening.h"
#include "preload/pool.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/thread_state.h"
#include "preload/tls/slice.h"

namespace remora::shim {
namespace {

constinit Pool<TlsChannel, 128, 2048> channels;

}  // namespace

TlsChannel* open_channel(TlsRole role) noexcept {
    if (!session().active || !tracing()) return nullptr;
    const uint32_t index = channels.allocate();
    if (index == 0) {
        count_loss(REMORA_LOSS_connection_table_full);
        return nullptr;
    }
    Conn* conn = make_conn();
    if (conn == nullptr) {
        channels.free(index);
        return nullptr;
    }
    conn->tls.inside = true;
    conn->blocking = false;
    conn->born_seen = role != TlsRole::unknown;
    conn->accepted = role != TlsRole::client;
    TlsChannel& channel = channels.at(index);
    channel = TlsChannel{};
    channel.conn = conn;
    channel.id = index;
    return &channel;
}

void close_channel(TlsChannel* channel) noexcept {
    if (channel == nullptr) return;
    free_slice(channel->frozen.slice);
    free_slice(channel->frozen.copy);
    channel->frozen = FrozenWrite{};
    drop_reference(*channel->conn);
    channels.free(channel->id);
}

TlsChannel* channel_at(uint32_t index) noexcept { return &channels.at(index); }

void handshake_begins(TlsChannel& channel) noexcept {
    if (!channel.facts_known && !channel.conn->accepted) note_handshake_begin(*channel.conn);
}

void handshake_ends(TlsChannel& channel, bool done) noexcept {
    if (!channel.facts_known && !channel.conn->accepted) note_handshake_end(*channel.conn, done);
}

void channel_learned(TlsChannel& channel, ByteView alpn) noexcept {
    TlsFacts& facts = channel.conn->tls;
    handshake_ends(channel, true);
    const ByteView kept = alpn.first(sizeof(facts.alpn));
    if (kept.size > 0) memcpy(facts.alpn, kept.data, kept.size);
    channel.facts_known = true;
    if (alpn == ByteView{"h2"}) abandon(*channel.conn, REMORA_END_UNFOLLOWED, 0);
}

void leave_channel(TlsChannel& channel, remora_loss reason) noexcept {
    bytes_go_past_us(*channel.conn, reason);
}

InsideLibrary::InsideLibrary(const void* session, TlsChannel* channel) noexcept
    : outer_session_(thread_state.tls_session), outer_channel_(thread_state.tls_channel) {
    thread_state.tls_session = session;
    thread_state.tls_channel = channel;
}

void InsideLibrary::leave() noexcept {
    thread_state.tls_session = outer_session_;
    thread_state.tls_channel = outer_channel_;
}

bool InsideLibrary::already(const void* session) noexcept {
    return thread_state.tls_session == session;
}

}  // namespace remora::shim
