// SPDX-License-Identifier: Apache-2.0
// One TLS session of the program's, whichever library runs it: a connection of its own (conn.h)
// whose bytes are the plain text, and what a write that is to be repeated must repeat.
//
// Knows no TLS library. Channels come from a pool and are never unmapped. They belong to the
// session: the library's adapter (openssl.h, gnutls.h) opens one at the session's first call and
// closes it when the session is freed. The write state belongs to the owner of the sent direction.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"
#include "bpf/abi/loss.h"
#include "preload/conn.h"

namespace remora::shim {

// What the library must be given again, byte for byte, after it asked for the call to be repeated.
struct FrozenWrite {
    bool active = false;
    uint32_t slice = 0;    // our text laid into the program's bytes (slice.h); 0: the program's own
    uint32_t copy = 0;     // of the program's own, where they may not come again; 0: none
    size_t done = 0;       // bytes of the program's call that went before
    size_t chunk = 0;      // bytes of the program's that are being sent
    uint32_t current = 0;  // exchanges that are complete once they have gone
    uint32_t begun_first = 0;
    uint32_t begun_last = 0;
};

struct TlsChannel {
    Conn* conn = nullptr;
    FrozenWrite frozen;
    bool facts_known = false;    // version, cipher, ALPN: the handshake is over
    bool carrier_known = false;  // or given up
    // A plain connection that moved TLS records while this session was in its library.
    Conn* nested = nullptr;
    uint32_t nested_generation = 0;
    int nested_fd = -1;
    // Why nothing may be added to what is sent now; REMORA_LOSS_COUNT: it may.
    remora_loss refusal = REMORA_LOSS_COUNT;
    const void* library = nullptr;  // GnuTLS: whose session it is
    uint32_t id = 0;                // in the pool
};

enum class TlsRole : uint8_t { unknown, client, server };

// nullptr: nothing is traced, or the pool is exhausted (counted).
TlsChannel* open_channel(TlsRole role) noexcept;
void close_channel(TlsChannel* channel) noexcept;
// 0 is no channel.
inline uint32_t index_of(const TlsChannel* channel) noexcept {
    return channel == nullptr ? 0 : channel->id;
}
TlsChannel* channel_at(uint32_t index) noexcept;

// A client's handshake is about to make its first step (later ones change nothing), has ended, or
// has failed for good: for the opening of its connection.
void handshake_begins(TlsChannel& channel) noexcept;
void handshake_ends(TlsChannel& channel, bool done) noexcept;
// The handshake is over; the caller owns a direction and has written conn->tls but for ALPN's
// choice (empty: none). HTTP/2 is left alone.
void channel_learned(TlsChannel& channel, ByteView alpn) noexcept;
// Not followed any more, for this reason. The caller owns no direction.
void leave_channel(TlsChannel& channel, remora_loss reason) noexcept;

// For the length of one call into the library: what the program's calls on sockets do meanwhile
// belongs to this session, and calls by which the library enters itself are not looked at again.
class InsideLibrary {
public:
    InsideLibrary(const void* session, TlsChannel* channel) noexcept;
    // To be called on every way out; no destructor, since a thread may be cancelled in the call.
    void leave() noexcept;
    static bool already(const void* session) noexcept;

private:
    const void* outer_session_;
    TlsChannel* outer_channel_;
};

}  // namespace remora::shim
