// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/gnutls.h"

#include <cerrno>
#include <climits>

#include "preload/lane_writer.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

// Numbers of gnutls.h.
constexpr unsigned flag_server = 1;     // GNUTLS_SERVER
constexpr unsigned flag_datagram = 4;   // GNUTLS_DATAGRAM
constexpr int error_again = -28;        // GNUTLS_E_AGAIN
constexpr int error_interrupted = -52;  // GNUTLS_E_INTERRUPTED
constexpr int error_premature = -110;   // GNUTLS_E_PREMATURE_TERMINATION
constexpr int version_ssl3 = 1;         // GNUTLS_SSL3; TLS 1.0 to 1.3 follow
constexpr int version_tls13 = 5;        // GNUTLS_TLS1_3

constinit LibraryTable<GnuTls, 4> libraries;
constinit CallerTable<GnuTls> callers;

// Sessions and their channels. A whole window is read for one that isn't there, so that a removal
// leaves no trace.
class SessionTable {
public:
    bool add(uintptr_t session, uint32_t channel) noexcept {
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entry_of(session, i);
            uintptr_t nobody = 0;
            if (!entry.session.compare_exchange_strong(nobody, session)) continue;
            entry.channel.store(channel, std::memory_order_release);
            return true;
        }
        return false;
    }
    uint32_t find(uintptr_t session) noexcept {
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entry_of(session, i);
            if (entry.session.load(std::memory_order_acquire) == session)
                return entry.channel.load(std::memory_order_acquire);
        }
        return 0;
    }
    uint32_t remove(uintptr_t session) noexcept {
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entry_of(session, i);
            if (entry.session.load(std::memory_order_acquire) != session) continue;
            const uint32_t channel = entry.channel.exchange(0);
            entry.session.store(0, std::memory_order_release);
            return channel;
        }
        return 0;
    }

private:
    static constexpr uint32_t size = 16384;
    static constexpr uint32_t window = 32;
    struct Entry {
        std::atomic<uintptr_t> session;
        std::atomic<uint32_t> channel;
    };
    Entry& entry_of(uintptr_t session, uint32_t i) noexcept {
        const uint64_t key = static_cast<uint64_t>(session) * 0x9e3779b97f4a7c15ull;
        return entries_[((key >> 50) + i) % size];
    }
    Entry entries_[size] = {};
};
constinit SessionTable sessions;

bool to_be_repeated(const GnuTls& library, long error) noexcept {
    return error == error_again || error == error_interrupted ||
           library.gnutls_error_is_fatal(static_cast<int>(error)) == 0;
}

// GnuTLS names a suite by its parts. In TLS 1.3 the key exchange is none of them.
uint16_t cipher_number(const GnuTls& library, void* session, int version) noexcept {
    if (library.gnutls_cipher_suite_info == nullptr || library.gnutls_cipher_get == nullptr ||
        library.gnutls_mac_get == nullptr || library.gnutls_kx_get == nullptr)
        return 0;
    const int key_exchange = library.gnutls_kx_get(session);
    const int cipher = library.gnutls_cipher_get(session);
    const int mac = library.gnutls_mac_get(session);
    for (size_t i = 0; i < 512; ++i) {
        uint8_t number[2] = {};
        int its_exchange = 0, its_cipher = 0, its_mac = 0, its_version = 0;
        if (library.gnutls_cipher_suite_info(i, number, &its_exchange, &its_cipher, &its_mac,
                                             &its_version) == nullptr)
            break;
        if (its_cipher != cipher || its_mac != mac) continue;
        if ((its_version == version_tls13) != (version == version_tls13)) continue;
        if (version == version_tls13 || its_exchange == key_exchange)
            return static_cast<uint16_t>(number[0] << 8 | number[1]);
    }
    return 0;
}

// The transport's pointer is a descriptor unless the program has functions of its own for it.
int descriptor_of(const GnuTls& library, void* session) noexcept {
    const auto pointer = reinterpret_cast<uintptr_t>(library.gnutls_transport_get_ptr(session));
    return pointer <= INT_MAX ? static_cast<int>(pointer) : -1;
}

void learn(TlsChannel& channel, const GnuTls& library, void* session) noexcept {
    const int version = library.gnutls_protocol_get_version(session);
    const bool over = version >= version_ssl3 && version <= version_tls13;
    GnuTlsBytes client, server, name;
    if (over) library.gnutls_session_get_random(session, &client, &server);
    const bool has_random = client.data != nullptr && client.size == hello_random_size;
    learn_carrier(channel, descriptor_of(library, session), has_random ? client.data : nullptr,
                  over);
    if (!over) return;
    TlsFacts& facts = channel.conn->tls;
    facts.version = static_cast<uint16_t>(0x0300 + version - version_ssl3);
    facts.cipher = cipher_number(library, session, version);
    facts.resumed = library.gnutls_session_is_resumed(session) != 0;
    const bool chosen = library.gnutls_alpn_get_selected_protocol != nullptr &&
                        library.gnutls_alpn_get_selected_protocol(session, &name) == 0;
    channel_learned(channel, chosen ? ByteView{name.data, name.size} : ByteView{});
}

}  // namespace

void GnuTlsFunctions::fill(const LoadedLibrary& loaded) noexcept {
#define REMORA_USED(result, name, parameters) #name "\0"
#define REMORA_HOOK(result, name, parameters, arguments) #name "\0"
    static constexpr char names[] =
#include "preload/tls/gnutls.def"
        ;
    find_functions(loaded, names, this);
    usable = gnutls_error_is_fatal != nullptr && gnutls_transport_get_ptr != nullptr &&
             gnutls_session_get_random != nullptr && gnutls_protocol_get_version != nullptr &&
             gnutls_session_is_resumed != nullptr;
}

GnuTls* gnutls_of(const char* function, const void* caller) noexcept {
    if (GnuTls* known = callers.find(caller)) return known;
    const LoadedLibrary reached = find_library(function, "libgnutls.", caller);
    GnuTls* library = reached ? libraries.enter(reached) : nullptr;
    if (library != nullptr) callers.remember(caller, *library);
    return library;
}

void session_made(GnuTls& library, void* session, unsigned flags) noexcept {
    if (!shim::session().active) return;
    notice_fork();
    if (!library.usable) {
        if (!library.refused.exchange(true)) count_loss(REMORA_LOSS_tls_library_unknown);
        return;
    }
    session_ends(session);  // one that was freed unseen
    if (flags & flag_datagram) return;
    TlsChannel* channel = open_channel(flags & flag_server ? TlsRole::server : TlsRole::client);
    if (channel == nullptr) return;
    channel->library = &library;
    if (sessions.add(reinterpret_cast<uintptr_t>(session), channel->id)) return;
    count_loss(REMORA_LOSS_tls_table_full);
    close_channel(channel);
}

void session_ends(void* session) noexcept {
    if (!shim::session().active || session == nullptr) return;
    const uint32_t channel = sessions.remove(reinterpret_cast<uintptr_t>(session));
    if (channel != 0) close_channel(channel_at(channel));
}

TlsChannel* channel_of_session(const void* session) noexcept {
    if (!shim::session().active || session == nullptr) return nullptr;
    notice_fork();
    const uint32_t index = sessions.find(reinterpret_cast<uintptr_t>(session));
    if (index == 0) return nullptr;
    TlsChannel* channel = channel_at(index);
    // Switched off while it runs: what passes unseen from here on can't be made up for.
    if (__builtin_expect(!tracing(), 0))
        channel->conn->opaque.store(true, std::memory_order_relaxed);
    return channel;
}

void describe_gnutls(TlsOutgoing& out) noexcept {
    out.failure = [](const TlsOutgoing& o, long result) noexcept {
        if (!to_be_repeated(gnutls(o.library), result)) return WriteFailure::final;
        const bool held = result == error_again || result == error_interrupted;
        return held ? WriteFailure::again : WriteFailure::untouched;
    };
    out.may_omit_data = true;
    // It takes at most one record's worth and says so.
    out.partial = [](const TlsOutgoing&) { return true; };
    out.learn = [](const TlsOutgoing& o) {
        learn(o.channel, gnutls(o.library), const_cast<void*>(o.session));
    };
}

void describe_gnutls(TlsIncoming& in) noexcept {
    in.end = [](const TlsIncoming& i, long result) {
        if (result == 0 || result == error_premature) return ReadEnd::closed;
        return to_be_repeated(gnutls(i.library), result) ? ReadEnd::again : ReadEnd::failed;
    };
    if (gnutls(in.library).gnutls_record_check_pending != nullptr)
        in.pending = [](const TlsIncoming& i) {
            return gnutls(i.library).gnutls_record_check_pending(const_cast<void*>(i.session));
        };
    in.learn = [](const TlsIncoming& i) {
        learn(i.channel, gnutls(i.library), const_cast<void*>(i.session));
    };
}

void handshake_step_ends(GnuTls& library, TlsChannel& channel, void* session, int result) noexcept {
    if (channel.facts_known || (result < 0 && to_be_repeated(library, result))) return;
    const int saved = errno;
    if (result < 0) {
        learn_carrier(channel, descriptor_of(library, session), nullptr, false);
        handshake_ends(channel, false);
        errno = saved;
        return;
    }
    Conn& conn = *channel.conn;
    Direction& direction = conn.directions[REMORA_DIRECTION_SENT];
    if (enter(conn, direction)) {
        learn(channel, library, session);
        leave(conn, direction);
    }
    errno = saved;
}

}  // namespace remora::shim
