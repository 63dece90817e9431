// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/openssl.h"

#include <cerrno>

#include "preload/lane_writer.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

// Numbers of OpenSSL's headers that no version has changed.
constexpr int ex_data_of_ssl = 0;     // CRYPTO_EX_INDEX_SSL
constexpr int any_version = 0x10000;  // TLS_ANY_VERSION: before the handshake
constexpr int want_nothing = 1;       // SSL_NOTHING
constexpr int want_writing = 2;       // SSL_WRITING
constexpr int want_reading = 3;       // SSL_READING
constexpr int should_retry = 8;       // BIO_FLAGS_SHOULD_RETRY
constexpr int received_shutdown = 2;  // SSL_RECEIVED_SHUTDOWN
constexpr int control_mode = 33;      // SSL_CTRL_MODE
constexpr long partial_writes = 1;    // SSL_MODE_ENABLE_PARTIAL_WRITE

constexpr int no_index = -1;
constexpr int never = -2;

// SSL_dup: the copy is a session of its own.
int not_inherited(void*, const void*, void** data, int, long, void*) {
    *data = nullptr;
    return 1;
}

void session_freed(void*, void* channel, void*, int, long, void*) {
    const int saved = errno;
    close_channel(static_cast<TlsChannel*>(channel));
    errno = saved;
}

// Threads that come at once each get an index; one is used, the others stay empty.
int make_index(OpenSsl& library) noexcept {
    library.ERR_set_mark();
    int made = library.CRYPTO_get_ex_new_index(ex_data_of_ssl, 0, nullptr, nullptr,
                                               reinterpret_cast<void*>(&not_inherited),
                                               reinterpret_cast<void*>(&session_freed));
    library.ERR_pop_to_mark();
    if (made < 0) made = never;
    int before = no_index;
    return library.state_index.compare_exchange_strong(before, made) ? made : before;
}

bool is_usable(OpenSsl& library) noexcept {
    if (__builtin_expect(library.usable, 1)) return true;
    if (!library.refused.exchange(true)) count_loss(REMORA_LOSS_tls_library_unknown);
    return false;
}

bool is_tls(const OpenSsl& library, const void* ssl) noexcept {
    const int version = library.SSL_version(ssl);
    return version >> 8 == 3 || version == any_version;
}

bool to_be_repeated(const OpenSsl& library, const void* ssl) noexcept {
    const int want = library.SSL_want(ssl);
    if (want == want_nothing) return false;
    if (want != want_reading && want != want_writing) return true;  // a callback, an engine
    const void* bio = want == want_reading ? library.SSL_get_rbio(ssl) : library.SSL_get_wbio(ssl);
    return bio != nullptr && library.BIO_test_flags(bio, should_retry) != 0;
}

// -1 where the records go through something else than a descriptor.
int descriptor_of(const OpenSsl& library, const void* ssl) noexcept {
    int fd = -1;
    if (library.SSL_get_rfd != nullptr && library.SSL_get_rbio(ssl) != nullptr)
        fd = library.SSL_get_rfd(ssl);
    if (fd < 0 && library.SSL_get_wfd != nullptr && library.SSL_get_wbio(ssl) != nullptr)
        fd = library.SSL_get_wfd(ssl);
    return fd;
}

void find_carrier(TlsChannel& channel, const OpenSsl& library, const void* ssl,
                  bool over) noexcept {
    if (channel.carrier_known) return;
    uint8_t random[hello_random_size];
    const bool known = over && library.SSL_get_client_random != nullptr &&
                       library.SSL_get_client_random(ssl, random, sizeof(random)) == sizeof(random);
    learn_carrier(channel, descriptor_of(library, ssl), known ? random : nullptr, over);
}

void learn(TlsChannel& channel, const OpenSsl& library, const void* ssl) noexcept {
    const bool over = library.SSL_in_init(ssl) == 0;
    if (!over) handshake_begins(channel);
    find_carrier(channel, library, ssl, over);
    if (!over) return;
    TlsFacts& facts = channel.conn->tls;
    facts.version = static_cast<uint16_t>(library.SSL_version(ssl));
    if (library.SSL_get_current_cipher != nullptr && library.SSL_CIPHER_get_id != nullptr)
        if (const void* cipher = library.SSL_get_current_cipher(ssl))
            facts.cipher = static_cast<uint16_t>(library.SSL_CIPHER_get_id(cipher));
    if (library.SSL_session_reused != nullptr) facts.resumed = library.SSL_session_reused(ssl) != 0;
    const uint8_t* name = nullptr;
    unsigned size = 0;
    if (library.SSL_get0_alpn_selected != nullptr)
        library.SSL_get0_alpn_selected(ssl, &name, &size);
    channel_learned(channel, name == nullptr ? ByteView{} : ByteView{name, size});
}

}  // namespace

TlsChannel* channel_of(OpenSsl& library, void* ssl, TlsRole role) noexcept {
    if (!session().active || !is_usable(library)) return nullptr;
    notice_fork();
    int index = library.state_index.load(std::memory_order_acquire);
    if (index == no_index && tracing()) index = make_index(library);
    if (index < 0) return nullptr;
    auto* channel = static_cast<TlsChannel*>(library.SSL_get_ex_data(ssl, index));
    if (channel != nullptr) {
        // Switched off while it runs: what passes unseen from here on can't be made up for.
        if (__builtin_expect(!tracing(), 0))
            channel->conn->opaque.store(true, std::memory_order_relaxed);
        return channel;
    }
    if (!tracing() || !is_tls(library, ssl)) return nullptr;
    const int saved = errno;
    channel = open_channel(role);
    if (channel != nullptr) {
        library.ERR_set_mark();
        const bool kept = library.SSL_set_ex_data(ssl, index, channel) == 1;
        library.ERR_pop_to_mark();
        if (!kept) {
            close_channel(channel);
            channel = nullptr;
        }
    }
    errno = saved;
    return channel;
}

TlsChannel* channel_of(OpenSsl& library, void* ssl) noexcept {
    if (!session().active || !is_usable(library)) return nullptr;
    return channel_of(library, ssl, library.SSL_is_server(ssl) ? TlsRole::server : TlsRole::client);
}

void handshake_step_begins(const OpenSsl& library, TlsChannel& channel, const void* ssl) noexcept {
    const int saved = errno;
    if (library.SSL_in_init(ssl)) handshake_begins(channel);
    errno = saved;
}

void handshake_step_ends(const OpenSsl& library, TlsChannel& channel, const void* ssl,
                         int result) noexcept {
    const int saved = errno;
    const bool over = result == 1;
    if (over || !to_be_repeated(library, ssl)) {
        find_carrier(channel, library, ssl, over);
        handshake_ends(channel, over);
    }
    errno = saved;
}

void forget_channel(OpenSsl& library, void* ssl) noexcept {
    const int index = library.state_index.load(std::memory_order_acquire);
    if (index < 0) return;
    auto* channel = static_cast<TlsChannel*>(library.SSL_get_ex_data(ssl, index));
    if (channel == nullptr) return;
    const int saved = errno;
    library.SSL_set_ex_data(ssl, index, nullptr);
    close_channel(channel);
    errno = saved;
}

void describe(TlsOutgoing& out) noexcept {
    out.failure = [](const TlsOutgoing& o, long) noexcept {
        const OpenSsl& library = openssl(o.library);
        if (!to_be_repeated(library, o.session)) return WriteFailure::final;
        return library.SSL_in_init(o.session) ? WriteFailure::untouched : WriteFailure::again;
    };
    out.partial = [](const TlsOutgoing& o) {
        return (openssl(o.library).SSL_ctrl(const_cast<void*>(o.session), control_mode, 0,
                                            nullptr) &
                partial_writes) != 0;
    };
    out.learn = [](const TlsOutgoing& o) { learn(o.channel, openssl(o.library), o.session); };
}

void describe(TlsIncoming& in) noexcept {
    in.end = [](const TlsIncoming& i, long) {
        const OpenSsl& library = openssl(i.library);
        if (library.SSL_get_shutdown(i.session) & received_shutdown) return ReadEnd::closed;
        return to_be_repeated(library, i.session) ? ReadEnd::again : ReadEnd::failed;
    };
    if (openssl(in.library).SSL_pending != nullptr)
        in.pending = [](const TlsIncoming& i) {
            const int pending = openssl(i.library).SSL_pending(i.session);
            return pending > 0 ? static_cast<size_t>(pending) : 0;
        };
    in.learn = [](const TlsIncoming& i) { learn(i.channel, openssl(i.library), i.session); };
}

}  // namespace remora::shim
