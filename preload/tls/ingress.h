// SPDX-License-Identifier: Apache-2.0
// Bytes that a TLS library has decrypted for the program: watched, and, where they hold a request's
// head, handed on with a traceparent that names our server span.
//
// A read gives what the library has of one record. Where a head may come it is asked for less than
// the program has room for, and for the rest only of what it has decrypted already: a call for more
// could wait, or change what the program's next call says.
#pragma once

#include "preload/tls/channel.h"

namespace remora::shim {

enum class ReadEnd : uint8_t { again, closed, failed };

struct TlsIncoming {
    TlsChannel& channel;
    const void* session;
    uint8_t* data;
    size_t size;
    const void* library;        // the adapter's
    void* arguments = nullptr;  // the adapter's
    // The program's own call, into another place. > 0: so many bytes; else what the program is
    // told.
    long (*original)(const TlsIncoming&, uint8_t* data, size_t size) = nullptr;
    // Bytes of the same record that a further call gives without asking the socket. Where null, the
    // size that the program asked for stays.
    size_t (*pending)(const TlsIncoming&) = nullptr;
    ReadEnd (*end)(const TlsIncoming&, long result) = nullptr;  // why there were none
    void (*learn)(const TlsIncoming&) = nullptr;                // while there is something to learn
};

// > 0: bytes that the program has now, maybe more than the library gave; else what that said.
long tls_receive(const TlsIncoming& in);
// Bytes that the program got in a buffer of the library's; none: the stream has ended.
void tls_received_elsewhere(TlsChannel& channel, ByteView bytes) noexcept;
// As tls_receive, for bytes that stay in the library.
long tls_peek(const TlsIncoming& in);

}  // namespace remora::shim
