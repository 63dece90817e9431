// SPDX-License-Identifier: Apache-2.0
// The OpenSSLs that are loaded in this process. An SSL is only ever given to the library that made
// it. Any thread.
#pragma once

#include <sys/types.h>

#include "preload/tls/library_table.h"
#include "preload/user_pointer.h"

namespace remora::shim {

struct OpenSslFunctions {
#define REMORA_HOOK(result, name, parameters, arguments) result(*name) parameters = nullptr;
#define REMORA_USED(result, name, parameters) result(*name) parameters = nullptr;
#include "preload/tls/openssl.def"
    bool usable = false;  // all that we need is there

    void fill(const LoadedLibrary& loaded) noexcept;
};

struct OpenSsl : KnownLibrary<OpenSslFunctions> {
    std::atomic<int> state_index{-1};  // of our state in an SSL's ex_data

    // An SSL's first words hold a pointer to its method table, which is its library's (every
    // version of OpenSSL so far, and LibreSSL). What comes here may be no SSL at all: other
    // libraries have functions of these names, with numbers or small objects as handles. So nothing
    // is read beyond the page in which it begins; who is not found so is found by the caller.
    [[nodiscard]] bool made(const void* ssl) const noexcept {
        if (!usable || !plausible(ssl)) return false;
        const auto at = reinterpret_cast<uintptr_t>(ssl);
        if (at % alignof(uintptr_t) != 0) return false;
        const auto* words = static_cast<const uintptr_t*>(ssl);
        const uintptr_t in_page = (page - at % page) / sizeof(uintptr_t);
        for (uintptr_t i = 0; i < 4 && i < in_page; ++i)
            if (loaded.contains(words[i])) return true;
        return false;
    }

private:
    static constexpr uintptr_t page = 4096;
};

// The library of an SSL. function, caller: the name that was called, and where our wrapper returns
// to, for an SSL that no known library has made. nullptr: there is no OpenSSL at all.
OpenSsl* openssl_of(const void* ssl, const char* function, const void* caller) noexcept;

}  // namespace remora::shim
