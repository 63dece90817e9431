// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/openssl_library.h"

namespace remora::shim {

constinit OpenSsl openssl_libraries[max_openssl];
constinit std::atomic<unsigned> openssl_count{0};

namespace {

void fill(OpenSsl& library, const LoadedLibrary& loaded) noexcept {
#define REMORA_USED(result, name, parameters) \
    library.name = reinterpret_cast<decltype(library.name)>(find_function(loaded, #name));
#define REMORA_HOOK(result, name, parameters, arguments) REMORA_USED(result, name, parameters)
#include "preload/tls/openssl.def"
    library.loaded = loaded;
    // 1.1 is the first with OPENSSL_init_ssl; BoringSSL has no CRYPTO_get_ex_new_index.
    library.usable = library.OPENSSL_init_ssl != nullptr &&
                     library.CRYPTO_get_ex_new_index != nullptr &&
                     library.SSL_get_ex_data != nullptr && library.SSL_set_ex_data != nullptr &&
                     library.ERR_set_mark != nullptr && library.ERR_pop_to_mark != nullptr &&
                     library.SSL_in_init != nullptr && library.SSL_want != nullptr &&
                     library.SSL_is_server != nullptr && library.SSL_version != nullptr &&
                     library.SSL_get_shutdown != nullptr && library.SSL_ctrl != nullptr &&
                     library.SSL_get_rbio != nullptr && library.SSL_get_wbio != nullptr &&
                     library.BIO_test_flags != nullptr;
}

// Its place in the table; whoever comes second waits for the first, a few dozen dlsym calls.
OpenSsl* enter_in_table(const LoadedLibrary& loaded) noexcept {
    for (unsigned i = 0; i < max_openssl; ++i) {
        OpenSsl& library = openssl_libraries[i];
        uintptr_t nobody = 0;
        if (library.begin.compare_exchange_strong(nobody, loaded.begin)) {
            fill(library, loaded);
            library.ready.store(true, std::memory_order_release);
            unsigned known = openssl_count.load();
            while (known <= i && !openssl_count.compare_exchange_weak(known, i + 1)) {
            }
            return &library;
        }
        if (nobody != loaded.begin) continue;
        for (int k = 0; k < 10000000 && !library.ready.load(std::memory_order_acquire); ++k)
            __builtin_ia32_pause();
        return library.ready.load(std::memory_order_acquire) ? &library : nullptr;
    }
    return nullptr;
}

// Callers whose library can't be told by the SSL (a build of OpenSSL that we don't know), so that
// each is asked for once.
struct CallSite {
    std::atomic<const void*> address;
    std::atomic<OpenSsl*> library;
};
constexpr unsigned site_count = 64;
constinit CallSite sites[site_count] = {};

// An entry is written once and stands. nullptr: no place, or not known.
OpenSsl* known_caller(const void* caller) noexcept {
    for (CallSite& site : sites) {
        const void* address = site.address.load(std::memory_order_acquire);
        if (address == caller) return site.library.load(std::memory_order_acquire);
        if (address == nullptr) break;
    }
    return nullptr;
}

void remember_caller(const void* caller, OpenSsl& library) noexcept {
    for (CallSite& site : sites) {
        const void* nobody = nullptr;
        if (site.address.compare_exchange_strong(nobody, caller) || nobody == caller)
            return site.library.store(&library, std::memory_order_release);
    }
}

}  // namespace

const OpenSsl* meet_openssl(const void* ssl, const char* function, const void* caller) noexcept {
    if (const OpenSsl* known = known_caller(caller)) return known;

    const LoadedLibrary callers = find_library(function, "libssl", caller);
    OpenSsl* library = callers ? enter_in_table(callers) : nullptr;
    if (library != nullptr && ssl != nullptr && library->made(ssl)) return library;
    // A caller that left by a tail jump is not the one that returns: who has made the SSL?
    for (unsigned n = 0; ssl != nullptr && n < max_openssl; ++n) {
        const LoadedLibrary next = find_loaded(function, "libssl", n);
        if (!next) break;
        OpenSsl* other = enter_in_table(next);
        if (other != nullptr && other->made(ssl)) return other;
        if (library == nullptr && n == 0) library = other;
    }
    if (library != nullptr && ssl != nullptr) remember_caller(caller, *library);
    return library;
}

}  // namespace remora::shim
