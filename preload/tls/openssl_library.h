// SPDX-License-Identifier: Apache-2.0
// The OpenSSLs that are loaded in this process, each with the table of its own functions. An SSL is
// only ever given to the library that made it.
//
// Filled as libraries are met, never emptied. Any thread; the hot path is a few loads.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "preload/tls/library_search.h"

namespace remora::shim {

struct OpenSsl {
#define REMORA_HOOK(result, name, parameters, arguments) result(*name) parameters = nullptr;
#define REMORA_USED(result, name, parameters) result(*name) parameters = nullptr;
#include "preload/tls/openssl.def"

    std::atomic<uintptr_t> begin{0};  // of its mapping; claims the place in the table
    std::atomic<bool> ready{false};
    LoadedLibrary loaded;
    bool usable = false;               // all that we need is there
    std::atomic<int> state_index{-1};  // of our state in an SSL's ex_data

    // An SSL's first words hold a pointer to its method table, which is its library's (every
    // version of OpenSSL so far, and LibreSSL).
    [[nodiscard]] bool made(const void* ssl) const noexcept {
        const auto* words = static_cast<const uintptr_t*>(ssl);
        for (int i = 0; i < 4; ++i)
            if (loaded.contains(words[i])) return true;
        return false;
    }
};

constexpr unsigned max_openssl = 8;
extern constinit OpenSsl openssl_libraries[max_openssl];
extern constinit std::atomic<unsigned> openssl_count;

// Of an SSL that no known library has made; `caller`: where our wrapper returns to. nullptr: there
// is no OpenSSL at all.
const OpenSsl* meet_openssl(const void* ssl, const char* function, const void* caller) noexcept;

inline OpenSsl* openssl_of(const void* ssl, const char* function, const void* caller) noexcept {
    const unsigned count = openssl_count.load(std::memory_order_acquire);
    for (unsigned i = 0; i < count && ssl != nullptr; ++i) {
        OpenSsl& library = openssl_libraries[i];
        if (library.ready.load(std::memory_order_acquire) && library.made(ssl)) return &library;
    }
    return const_cast<OpenSsl*>(meet_openssl(ssl, function, caller));
}

}  // namespace remora::shim
