// SPDX-License-Identifier: Apache-2.0
// Hooks of OpenSSL's calls. A wrapper finds the library whose SSL it is, describes its call and
// hands it to egress.cc or ingress.cc; what is not followed goes straight to the library.
//
// Where there is no OpenSSL at all (somebody found our name by dlsym) a wrapper answers as a failed
// call does.
#include <cerrno>

#include "preload/real.h"
#include "preload/tls/openssl.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

// Whose SSL it is, or `failure` where there is no OpenSSL: the first line of a wrapper.
#define REMORA_LIBRARY(name, failure)                        \
    const void* const caller = __builtin_return_address(0);  \
    OpenSsl* const library = openssl_of(ssl, #name, caller); \
    if (library == nullptr || library->name == nullptr) return failure

// libssl calls its own functions through us (SSL_clear when a handshake begins, for one).
bool calls_itself(const OpenSsl& library, const void* ssl, const void* caller) noexcept {
    return library.loaded.contains(reinterpret_cast<uintptr_t>(caller)) ||
           InsideLibrary::already(ssl);
}

// nullptr: the call goes straight to the library.
TlsChannel* followed(OpenSsl& library, void* ssl, const void* caller, const void* data,
                     size_t size) noexcept {
    if (size == 0 || !plausible(data) || ssl == nullptr || calls_itself(library, ssl, caller))
        return nullptr;
    return channel_of(library, ssl);
}

// For the functions with an int: a negative size is the library's to refuse.
size_t positive(int size) noexcept { return size > 0 ? static_cast<size_t>(size) : 0; }

TlsOutgoing outgoing(const OpenSsl& library, TlsChannel& channel, void* ssl, const void* data,
                     size_t size) noexcept {
    TlsOutgoing out{channel, ssl, static_cast<const uint8_t*>(data), size, &library};
    describe(out);
    return out;
}

TlsIncoming incoming(const OpenSsl& library, TlsChannel& channel, void* ssl, void* data,
                     size_t size) noexcept {
    TlsIncoming in{channel, ssl, static_cast<uint8_t*>(data), size, &library};
    describe(in);
    return in;
}

void* ssl_of(const TlsOutgoing& out) noexcept { return const_cast<void*>(out.session); }
void* ssl_of(const TlsIncoming& in) noexcept { return const_cast<void*>(in.session); }

// The _ex functions answer 1 or 0 and the size beside it.
int answer(long told, size_t* size) noexcept {
    if (told <= 0) return static_cast<int>(told);
    *size = static_cast<size_t>(told);
    return 1;
}

int shake(int (*original)(void*), const OpenSsl& library, void* ssl, TlsChannel* channel) {
    if (channel == nullptr) return original(ssl);
    handshake_step_begins(library, *channel, ssl);
    InsideLibrary inside(ssl, channel);
    const int result = original(ssl);
    inside.leave();
    handshake_step_ends(library, *channel, ssl, result);
    return result;
}

}  // namespace
}  // namespace remora::shim

using namespace remora::shim;

REMORA_WRAPPER int SSL_write(void* ssl, const void* data, int size) {
    REMORA_LIBRARY(SSL_write, -1);
    TlsChannel* channel = followed(*library, ssl, caller, data, positive(size));
    if (channel == nullptr) return library->SSL_write(ssl, data, size);
    TlsOutgoing out = outgoing(*library, *channel, ssl, data, static_cast<size_t>(size));
    out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
        return openssl(o.library).SSL_write(ssl_of(o), bytes, static_cast<int>(count));
    };
    return static_cast<int>(tls_transmit(out));
}

REMORA_WRAPPER int SSL_write_ex(void* ssl, const void* data, size_t size, size_t* written) {
    REMORA_LIBRARY(SSL_write_ex, 0);
    TlsChannel* channel =
        plausible(written) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_write_ex(ssl, data, size, written);
    TlsOutgoing out = outgoing(*library, *channel, ssl, data, size);
    out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
        size_t taken = 0;
        const int result = openssl(o.library).SSL_write_ex(ssl_of(o), bytes, count, &taken);
        return result > 0 ? static_cast<long>(taken) : result;
    };
    return answer(tls_transmit(out), written);
}

REMORA_WRAPPER int SSL_write_ex2(void* ssl, const void* data, size_t size, uint64_t flags,
                                 size_t* written) {
    REMORA_LIBRARY(SSL_write_ex2, 0);
    TlsChannel* channel =
        plausible(written) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_write_ex2(ssl, data, size, flags, written);
    TlsOutgoing out = outgoing(*library, *channel, ssl, data, size);
    out.flags = flags;
    out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
        size_t taken = 0;
        const int result =
            openssl(o.library).SSL_write_ex2(ssl_of(o), bytes, count, o.flags, &taken);
        return result > 0 ? static_cast<long>(taken) : result;
    };
    return answer(tls_transmit(out), written);
}

// A client whose early data is refused sends the same bytes again: they can't be told from others.
REMORA_WRAPPER int SSL_write_early_data(void* ssl, const void* data, size_t size, size_t* written) {
    REMORA_LIBRARY(SSL_write_early_data, 0);
    TlsChannel* channel =
        plausible(written) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_write_early_data(ssl, data, size, written);
    if (!library->SSL_is_server(ssl)) leave_channel(*channel, REMORA_LOSS_not_injected_early_data);
    TlsOutgoing out = outgoing(*library, *channel, ssl, data, size);
    out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
        size_t taken = 0;
        const int result = openssl(o.library).SSL_write_early_data(ssl_of(o), bytes, count, &taken);
        return result > 0 ? static_cast<long>(taken) : result;
    };
    return answer(tls_transmit(out), written);
}

REMORA_WRAPPER ssize_t SSL_sendfile(void* ssl, int fd, off_t offset, size_t size, int flags) {
    REMORA_LIBRARY(SSL_sendfile, -1);
    TlsChannel* channel = followed(*library, ssl, caller, ssl, size);
    if (channel == nullptr) return library->SSL_sendfile(ssl, fd, offset, size, flags);
    InsideLibrary inside(ssl, channel);
    const ssize_t sent = library->SSL_sendfile(ssl, fd, offset, size, flags);
    inside.leave();
    const int saved = errno;
    if (sent > 0) tls_sent_unseen(*channel, static_cast<uint64_t>(sent));
    errno = saved;
    return sent;
}

REMORA_WRAPPER int SSL_read(void* ssl, void* data, int size) {
    REMORA_LIBRARY(SSL_read, -1);
    TlsChannel* channel = followed(*library, ssl, caller, data, positive(size));
    if (channel == nullptr) return library->SSL_read(ssl, data, size);
    TlsIncoming in = incoming(*library, *channel, ssl, data, static_cast<size_t>(size));
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return openssl(i.library).SSL_read(ssl_of(i), bytes, static_cast<int>(count));
    };
    return static_cast<int>(tls_receive(in));
}

REMORA_WRAPPER int SSL_read_ex(void* ssl, void* data, size_t size, size_t* read) {
    REMORA_LIBRARY(SSL_read_ex, 0);
    TlsChannel* channel = plausible(read) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_read_ex(ssl, data, size, read);
    TlsIncoming in = incoming(*library, *channel, ssl, data, size);
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        size_t got = 0;
        const int result = openssl(i.library).SSL_read_ex(ssl_of(i), bytes, count, &got);
        return result > 0 ? static_cast<long>(got) : result;
    };
    return answer(tls_receive(in), read);
}

// Answers 0 for an error, 1 for data, 2 for the end of the early data.
REMORA_WRAPPER int SSL_read_early_data(void* ssl, void* data, size_t size, size_t* read) {
    REMORA_LIBRARY(SSL_read_early_data, 0);
    TlsChannel* channel = plausible(read) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_read_early_data(ssl, data, size, read);
    TlsIncoming in = incoming(*library, *channel, ssl, data, size);
    struct Early {
        size_t* read;
        int result;
    } early{read, 0};
    in.arguments = &early;
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        auto& e = *static_cast<Early*>(i.arguments);
        e.result = openssl(i.library).SSL_read_early_data(ssl_of(i), bytes, count, e.read);
        return e.result > 0 ? static_cast<long>(*e.read) : -1;
    };
    in.end = [](const TlsIncoming&, long) { return ReadEnd::again; };
    in.pending = nullptr;
    const long told = tls_receive(in);
    if (told > 0) *read = static_cast<size_t>(told);
    return early.result;
}

REMORA_WRAPPER int SSL_peek(void* ssl, void* data, int size) {
    REMORA_LIBRARY(SSL_peek, -1);
    TlsChannel* channel = followed(*library, ssl, caller, data, positive(size));
    if (channel == nullptr) return library->SSL_peek(ssl, data, size);
    TlsIncoming in = incoming(*library, *channel, ssl, data, static_cast<size_t>(size));
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return openssl(i.library).SSL_peek(ssl_of(i), bytes, static_cast<int>(count));
    };
    return static_cast<int>(tls_peek(in));
}

REMORA_WRAPPER int SSL_peek_ex(void* ssl, void* data, size_t size, size_t* read) {
    REMORA_LIBRARY(SSL_peek_ex, 0);
    TlsChannel* channel = plausible(read) ? followed(*library, ssl, caller, data, size) : nullptr;
    if (channel == nullptr) return library->SSL_peek_ex(ssl, data, size, read);
    TlsIncoming in = incoming(*library, *channel, ssl, data, size);
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        size_t got = 0;
        const int result = openssl(i.library).SSL_peek_ex(ssl_of(i), bytes, count, &got);
        return result > 0 ? static_cast<long>(got) : result;
    };
    return answer(tls_peek(in), read);
}

// Before its first handshake an SSL doesn't know its role; these two give it one.
REMORA_WRAPPER int SSL_connect(void* ssl) {
    REMORA_LIBRARY(SSL_connect, -1);
    const bool follow = ssl != nullptr && !calls_itself(*library, ssl, caller);
    return shake(library->SSL_connect, *library, ssl,
                 follow ? channel_of(*library, ssl, TlsRole::client) : nullptr);
}

REMORA_WRAPPER int SSL_accept(void* ssl) {
    REMORA_LIBRARY(SSL_accept, -1);
    const bool follow = ssl != nullptr && !calls_itself(*library, ssl, caller);
    return shake(library->SSL_accept, *library, ssl,
                 follow ? channel_of(*library, ssl, TlsRole::server) : nullptr);
}

REMORA_WRAPPER int SSL_do_handshake(void* ssl) {
    REMORA_LIBRARY(SSL_do_handshake, -1);
    return shake(library->SSL_do_handshake, *library, ssl, followed(*library, ssl, caller, ssl, 1));
}

// The stream ends in our direction; the peer's may go on.
REMORA_WRAPPER int SSL_shutdown(void* ssl) {
    REMORA_LIBRARY(SSL_shutdown, -1);
    TlsChannel* channel = followed(*library, ssl, caller, ssl, 1);
    if (channel == nullptr) return library->SSL_shutdown(ssl);
    InsideLibrary inside(ssl, channel);
    const int result = library->SSL_shutdown(ssl);
    inside.leave();
    const int saved = errno;
    if (result >= 0) tls_sending_ends(*channel);
    errno = saved;
    return result;
}

REMORA_WRAPPER int SSL_clear(void* ssl) {
    REMORA_LIBRARY(SSL_clear, 0);
    const bool ours = ssl != nullptr && !calls_itself(*library, ssl, caller);
    const int result = library->SSL_clear(ssl);
    if (ours && result == 1) forget_channel(*library, ssl);
    return result;
}
