// SPDX-License-Identifier: Apache-2.0
// Bytes that the program hands to a TLS library: fed to the parser, and, where a request head may
// begin or is open, given to the library with our lines laid in.
//
// What the program is told is in its own bytes, and is what the library would tell: all or nothing,
// or, where the program allows partial writes, a part. After a "try again" the very same chunk is
// repeated, whatever has changed meanwhile, since the library compares.
#pragma once

#include "preload/tls/channel.h"

namespace remora::shim {

enum class WriteFailure : uint8_t {
    again,      // the same bytes must be given again: the library may hold a record of them
    untouched,  // the same, but it can't have looked at them yet: the handshake isn't over
    final,
};

struct TlsOutgoing {
    TlsChannel& channel;
    const void* session;
    const uint8_t* data;
    size_t size;          // > 0
    const void* library;  // the adapter's
    uint64_t flags = 0;   // the adapter's
    const void* arguments = nullptr;
    bool may_omit_data = false;  // a repeated call may come without its bytes
    // The program's own call with other bytes. > 0: so many were taken; else what the program is
    // told.
    long (*original)(const TlsOutgoing&, const void* data, size_t size) = nullptr;
    WriteFailure (*failure)(const TlsOutgoing&, long result) = nullptr;
    bool (*partial)(const TlsOutgoing&) = nullptr;  // may the program be told of a part?
    void (*learn)(const TlsOutgoing&) = nullptr;    // version, cipher, carrier; while unknown
};

// > 0: bytes of the program's; else what the library said.
long tls_transmit(const TlsOutgoing& out);
// Bytes moved that nobody saw (sendfile).
void tls_sent_unseen(TlsChannel& channel, uint64_t count) noexcept;
// The program said that it sends no more.
void tls_sending_ends(TlsChannel& channel) noexcept;

}  // namespace remora::shim
