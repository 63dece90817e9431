// SPDX-License-Identifier: Apache-2.0
// Hooks of GnuTLS's calls; as hooks_openssl.cc. libgnutls calls its own functions through us.
#include <cerrno>

#include "preload/real.h"
#include "preload/tls/gnutls.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

constexpr int invalid_session = -10;  // GNUTLS_E_INVALID_SESSION: where there is no GnuTLS

// A followed session knows its library; that of others is the caller's.
struct Target {
    TlsChannel* channel = nullptr;
    GnuTls* library = nullptr;
};
Target target_of(const char* function, const void* session, const void* caller) noexcept {
    Target target;
    if (!InsideLibrary::already(session)) target.channel = channel_of_session(session);
    target.library = target.channel != nullptr
                         ? const_cast<GnuTls*>(&gnutls(target.channel->library))
                         : gnutls_of(function, caller);
    return target;
}

// The first line of a wrapper: `failure` where there is no such function.
#define REMORA_TARGET(name, failure)                                                  \
    const Target target = target_of(#name, session, __builtin_return_address(0));     \
    if (target.library == nullptr || target.library->name == nullptr) return failure; \
    TlsChannel* const channel = target.channel;                                       \
    GnuTls& library = *target.library

struct SendArguments {
    size_t padding;
    unsigned flags;
};

// `data` may be null where a call is repeated: GnuTLS has the bytes.
ssize_t send(const GnuTls& library, TlsChannel& channel, void* session, const void* data,
             size_t size, const SendArguments* arguments,
             long (*original)(const TlsOutgoing&, const void*, size_t)) {
    if (size == 0 && channel.frozen.active) size = channel.frozen.chunk;
    TlsOutgoing out{channel, session, static_cast<const uint8_t*>(data), size, &library};
    describe_gnutls(out);
    out.arguments = arguments;
    out.original = original;
    return tls_transmit(out);
}

bool may_send(const TlsChannel* channel, const void* data, size_t size) noexcept {
    if (channel == nullptr) return false;
    if (size == 0) return channel->frozen.active;
    return plausible(data);
}

void* session_of(const TlsOutgoing& out) noexcept { return const_cast<void*>(out.session); }
void* session_of(const TlsIncoming& in) noexcept { return const_cast<void*>(in.session); }

TlsIncoming incoming(const GnuTls& library, TlsChannel& channel, void* session, void* data,
                     size_t size) noexcept {
    TlsIncoming in{channel, session, static_cast<uint8_t*>(data), size, &library};
    describe_gnutls(in);
    return in;
}

}  // namespace
}  // namespace remora::shim

using namespace remora::shim;

REMORA_WRAPPER ssize_t gnutls_record_send(void* session, const void* data, size_t size) {
    REMORA_TARGET(gnutls_record_send, invalid_session);
    if (!may_send(channel, data, size)) return library.gnutls_record_send(session, data, size);
    return send(library, *channel, session, data, size, nullptr,
                [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
                    return gnutls(o.library).gnutls_record_send(session_of(o), bytes, count);
                });
}

REMORA_WRAPPER ssize_t gnutls_record_send2(void* session, const void* data, size_t size,
                                           size_t padding, unsigned flags) {
    REMORA_TARGET(gnutls_record_send2, invalid_session);
    if (!may_send(channel, data, size))
        return library.gnutls_record_send2(session, data, size, padding, flags);
    const SendArguments arguments{padding, flags};
    return send(library, *channel, session, data, size, &arguments,
                [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
                    const auto& a = *static_cast<const SendArguments*>(o.arguments);
                    return gnutls(o.library).gnutls_record_send2(session_of(o), bytes, count,
                                                                 a.padding, a.flags);
                });
}

// The lengths of its records are the program's choice: nothing can be added.
REMORA_WRAPPER ssize_t gnutls_record_send_range(void* session, const void* data, size_t size,
                                                const void* range) {
    REMORA_TARGET(gnutls_record_send_range, invalid_session);
    if (channel != nullptr) leave_channel(*channel, REMORA_LOSS_body_unseen);
    return library.gnutls_record_send_range(session, data, size, range);
}

// A client whose early data is refused sends the same bytes again: they can't be told from others.
REMORA_WRAPPER ssize_t gnutls_record_send_early_data(void* session, const void* data, size_t size) {
    REMORA_TARGET(gnutls_record_send_early_data, invalid_session);
    if (channel != nullptr) leave_channel(*channel, REMORA_LOSS_not_injected_early_data);
    return library.gnutls_record_send_early_data(session, data, size);
}

REMORA_WRAPPER ssize_t gnutls_record_send_file(void* session, int fd, off_t* offset, size_t size) {
    REMORA_TARGET(gnutls_record_send_file, invalid_session);
    if (channel == nullptr) return library.gnutls_record_send_file(session, fd, offset, size);
    InsideLibrary inside(session, channel);
    const ssize_t sent = library.gnutls_record_send_file(session, fd, offset, size);
    inside.leave();
    const int saved = errno;
    if (sent > 0) tls_sent_unseen(*channel, static_cast<uint64_t>(sent));
    errno = saved;
    return sent;
}

REMORA_WRAPPER ssize_t gnutls_record_recv(void* session, void* data, size_t size) {
    REMORA_TARGET(gnutls_record_recv, invalid_session);
    if (channel == nullptr || size == 0 || !plausible(data))
        return library.gnutls_record_recv(session, data, size);
    TlsIncoming in = incoming(library, *channel, session, data, size);
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return gnutls(i.library).gnutls_record_recv(session_of(i), bytes, count);
    };
    return tls_receive(in);
}

REMORA_WRAPPER ssize_t gnutls_record_recv_seq(void* session, void* data, size_t size,
                                              unsigned char* sequence) {
    REMORA_TARGET(gnutls_record_recv_seq, invalid_session);
    if (channel == nullptr || size == 0 || !plausible(data))
        return library.gnutls_record_recv_seq(session, data, size, sequence);
    TlsIncoming in = incoming(library, *channel, session, data, size);
    in.arguments = sequence;
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return gnutls(i.library).gnutls_record_recv_seq(session_of(i), bytes, count,
                                                        static_cast<uint8_t*>(i.arguments));
    };
    return tls_receive(in);
}

REMORA_WRAPPER ssize_t gnutls_record_recv_early_data(void* session, void* data, size_t size) {
    REMORA_TARGET(gnutls_record_recv_early_data, invalid_session);
    if (channel == nullptr || size == 0 || !plausible(data))
        return library.gnutls_record_recv_early_data(session, data, size);
    TlsIncoming in = incoming(library, *channel, session, data, size);
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return gnutls(i.library).gnutls_record_recv_early_data(session_of(i), bytes, count);
    };
    in.end = [](const TlsIncoming&, long) { return ReadEnd::again; };
    in.pending = nullptr;
    return tls_receive(in);
}

// The bytes stay in the library's own buffer: only watched.
REMORA_WRAPPER ssize_t gnutls_record_recv_packet(void* session, void** packet) {
    REMORA_TARGET(gnutls_record_recv_packet, invalid_session);
    if (channel == nullptr || !plausible(packet) || library.gnutls_packet_get == nullptr)
        return library.gnutls_record_recv_packet(session, packet);
    InsideLibrary inside(session, channel);
    const ssize_t got = library.gnutls_record_recv_packet(session, packet);
    GnuTlsBytes bytes;
    if (got > 0) library.gnutls_packet_get(*packet, &bytes, nullptr);
    inside.leave();
    const int saved = errno;
    if (got > 0 || got == 0) tls_received_elsewhere(*channel, {bytes.data, bytes.size});
    errno = saved;
    return got;
}

// What is corked is counted by the program (gnutls_record_uncork says how much went): nothing is
// added to it.
REMORA_WRAPPER void gnutls_record_cork(void* session) {
    REMORA_TARGET(gnutls_record_cork, );
    if (channel != nullptr) channel->refusal = REMORA_LOSS_not_injected_corked;
    library.gnutls_record_cork(session);
}

REMORA_WRAPPER int gnutls_record_uncork(void* session, unsigned flags) {
    REMORA_TARGET(gnutls_record_uncork, invalid_session);
    if (channel == nullptr) return library.gnutls_record_uncork(session, flags);
    InsideLibrary inside(session, channel);
    const int sent = library.gnutls_record_uncork(session, flags);
    inside.leave();
    if (sent >= 0) channel->refusal = REMORA_LOSS_COUNT;
    return sent;
}

REMORA_WRAPPER int gnutls_init(void** session, unsigned flags) {
    GnuTls* library = gnutls_of("gnutls_init", __builtin_return_address(0));
    if (library == nullptr || library->gnutls_init == nullptr) return invalid_session;
    const int result = library->gnutls_init(session, flags);
    const int saved = errno;
    if (result == 0 && plausible(session)) session_made(*library, *session, flags);
    errno = saved;
    return result;
}

REMORA_WRAPPER void gnutls_deinit(void* session) {
    REMORA_TARGET(gnutls_deinit, );
    const int saved = errno;
    if (channel != nullptr) session_ends(session);
    errno = saved;
    library.gnutls_deinit(session);
}

REMORA_WRAPPER int gnutls_handshake(void* session) {
    REMORA_TARGET(gnutls_handshake, invalid_session);
    if (channel == nullptr) return library.gnutls_handshake(session);
    const int saved = errno;
    handshake_begins(*channel);
    errno = saved;
    InsideLibrary inside(session, channel);
    const int result = library.gnutls_handshake(session);
    inside.leave();
    handshake_step_ends(library, *channel, session, result);
    return result;
}

REMORA_WRAPPER int gnutls_bye(void* session, int how) {
    REMORA_TARGET(gnutls_bye, invalid_session);
    if (channel == nullptr) return library.gnutls_bye(session, how);
    InsideLibrary inside(session, channel);
    const int result = library.gnutls_bye(session, how);
    inside.leave();
    const int saved = errno;
    if (result >= 0) tls_sending_ends(*channel);
    errno = saved;
    return result;
}
