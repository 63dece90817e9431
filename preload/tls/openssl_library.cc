// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/openssl_library.h"

namespace remora::shim {
namespace {

constexpr unsigned most = 8;
constinit LibraryTable<OpenSsl, most> libraries;
// For a build of OpenSSL whose SSLs don't tell who has made them.
constinit CallerTable<OpenSsl> callers;

__attribute__((noinline)) OpenSsl* meet(const void* ssl, const char* function,
                                        const void* caller) noexcept {
    if (OpenSsl* known = callers.find(caller)) return known;
    const LoadedLibrary reached = find_library(function, "libssl", caller);
    OpenSsl* library = reached ? libraries.enter(reached) : nullptr;
    if (library != nullptr && !library->usable) {  // no OpenSSL, and its handles are no SSLs
        callers.remember(caller, *library);
        return library;
    }
    if (ssl == nullptr || (library != nullptr && library->made(ssl))) return library;
    // A caller that left by a tail jump is not the one that we return to: who has made the SSL?
    for (unsigned n = 0; n < most; ++n) {
        const LoadedLibrary next = find_loaded(function, "libssl", n);
        if (!next) break;
        OpenSsl* other = libraries.enter(next);
        if (other != nullptr && other->made(ssl)) return other;
    }
    if (library != nullptr) callers.remember(caller, *library);
    return library;
}

}  // namespace

void OpenSslFunctions::fill(const LoadedLibrary& loaded) noexcept {
#define REMORA_USED(result, name, parameters) #name "\0"
#define REMORA_HOOK(result, name, parameters, arguments) #name "\0"
    static constexpr char names[] =
#include "preload/tls/openssl.def"
        ;
    find_functions(loaded, names, this);
    // 1.1 is the first with OPENSSL_init_ssl; BoringSSL has no CRYPTO_get_ex_new_index.
    usable = OPENSSL_init_ssl != nullptr && CRYPTO_get_ex_new_index != nullptr &&
             SSL_get_ex_data != nullptr && SSL_set_ex_data != nullptr && ERR_set_mark != nullptr &&
             ERR_pop_to_mark != nullptr && SSL_in_init != nullptr && SSL_want != nullptr &&
             SSL_is_server != nullptr && SSL_version != nullptr && SSL_get_shutdown != nullptr &&
             SSL_ctrl != nullptr && SSL_get_rbio != nullptr && SSL_get_wbio != nullptr &&
             BIO_test_flags != nullptr;
}

OpenSsl* openssl_of(const void* ssl, const char* function, const void* caller) noexcept {
    if (ssl != nullptr) {
        OpenSsl* maker = libraries.find([ssl](const OpenSsl& l) { return l.made(ssl); });
        if (__builtin_expect(maker != nullptr, 1)) return maker;
    }
    return meet(ssl, function, caller);
}

}  // namespace remora::shim
