// SPDX-License-Identifier: Apache-2.0
// What the shim must know of a GnuTLS session. GnuTLS lets nobody hang anything on a session, so
// channels are found by its address: from gnutls_init to gnutls_deinit.
#pragma once

#include <sys/types.h>

#include "preload/tls/channel.h"
#include "preload/tls/egress.h"
#include "preload/tls/ingress.h"
#include "preload/tls/library_table.h"

namespace remora::shim {

struct GnuTlsFunctions {
#define REMORA_HOOK(result, name, parameters, arguments) result(*name) parameters = nullptr;
#define REMORA_USED(result, name, parameters) result(*name) parameters = nullptr;
#include "preload/tls/gnutls.def"
    bool usable = false;

    void fill(const LoadedLibrary& loaded) noexcept;
};
using GnuTls = KnownLibrary<GnuTlsFunctions>;

// The library that the code at `caller` reaches; nullptr: none.
GnuTls* gnutls_of(const char* function, const void* caller) noexcept;

// After gnutls_init and before gnutls_deinit.
void session_made(GnuTls& library, void* session, unsigned flags) noexcept;
void session_ends(void* session) noexcept;
// nullptr: not followed (made before us, DTLS, nothing is traced).
TlsChannel* channel_of_session(const void* session) noexcept;

void describe_gnutls(TlsOutgoing& out) noexcept;  // all but `original`
void describe_gnutls(TlsIncoming& in) noexcept;
// After a step of the handshake that the program asked for: once it is over, learns what it has
// agreed on. Owns no direction.
void handshake_step_ends(GnuTls& library, TlsChannel& channel, void* session, int result) noexcept;

inline const GnuTls& gnutls(const void* library) noexcept {
    return *static_cast<const GnuTls*>(library);
}
// gnutls_packet_get
struct GnuTlsBytes {
    uint8_t* data = nullptr;
    unsigned size = 0;
};

}  // namespace remora::shim
