// SPDX-License-Identifier: Apache-2.0
// What the shim must know of an SSL: its channel, why a call took or gave nothing, and what the
// handshake agreed on. Nothing here adds to OpenSSL's error queue.
#pragma once

#include "preload/tls/channel.h"
#include "preload/tls/egress.h"
#include "preload/tls/ingress.h"
#include "preload/tls/openssl_library.h"

namespace remora::shim {

// The session's channel, opened at its first call; it hangs on the SSL's ex_data and goes with it.
// nullptr: not followed (nothing is traced, DTLS, QUIC, an OpenSSL that we don't know).
TlsChannel* channel_of(OpenSsl& library, void* ssl, TlsRole role) noexcept;
// The same; the SSL knows its role once its handshake is set up.
TlsChannel* channel_of(OpenSsl& library, void* ssl) noexcept;
// Around a step of the handshake that the program asked for.
void handshake_step_begins(const OpenSsl& library, TlsChannel& channel, const void* ssl) noexcept;
void handshake_step_ends(const OpenSsl& library, TlsChannel& channel, const void* ssl,
                         int result) noexcept;
// SSL_clear: another connection begins.
void forget_channel(OpenSsl& library, void* ssl) noexcept;

void describe(TlsOutgoing& out) noexcept;  // all but `original`
void describe(TlsIncoming& in) noexcept;

inline const OpenSsl& openssl(const void* library) noexcept {
    return *static_cast<const OpenSsl*>(library);
}

}  // namespace remora::shim
