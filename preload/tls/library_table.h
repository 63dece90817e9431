// SPDX-License-Identifier: Apache-2.0
// The loaded libraries of one kind, each with the table of its own functions; and which of them a
// caller reaches. Filled as they are met, never emptied. Any thread; looking up costs a few loads.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/tls/library_search.h"

namespace remora::shim {

// Functions: a struct of pointers, with `void fill(const LoadedLibrary&)`.
template <class Functions>
struct KnownLibrary : Functions {
    std::atomic<uintptr_t> begin{0};  // of its mapping; claims the place in the table
    std::atomic<bool> ready{false};
    LoadedLibrary loaded;
    std::atomic<bool> refused{false};  // it lacks what we need, and that has been counted
};

template <class Library, unsigned most>
class LibraryTable {
public:
    // Whoever comes second waits for the first, a few dozen dlsym calls. nullptr: no place.
    Library* enter(const LoadedLibrary& loaded) noexcept {
        for (unsigned i = 0; i < most; ++i) {
            Library& library = libraries_[i];
            uintptr_t nobody = 0;
            if (library.begin.compare_exchange_strong(nobody, loaded.begin)) {
                library.loaded = loaded;
                library.fill(loaded);
                library.ready.store(true, std::memory_order_release);
                unsigned known = count_.load();
                while (known <= i && !count_.compare_exchange_weak(known, i + 1)) {
                }
                return &library;
            }
            if (nobody == loaded.begin) return wait_for(library);
        }
        return nullptr;
    }

    // The first for which `is(library)`, or nullptr.
    template <class Is>
    Library* find(Is is) noexcept {
        const unsigned count = count_.load(std::memory_order_acquire);
        for (unsigned i = 0; i < count; ++i)
            if (libraries_[i].ready.load(std::memory_order_acquire) && is(libraries_[i]))
                return &libraries_[i];
        return nullptr;
    }

private:
    static Library* wait_for(Library& library) noexcept {
        for (int i = 0; i < 10000000; ++i) {
            if (library.ready.load(std::memory_order_acquire)) return &library;
            __builtin_ia32_pause();
        }
        return nullptr;
    }

    Library libraries_[most];
    std::atomic<unsigned> count_{0};
};

// Which library the code at an address reaches, so that each is searched for once. Entries are
// written once and stand; who finds no place is searched for every time.
template <class Library>
class CallerTable {
public:
    Library* find(const void* caller) noexcept {
        for (unsigned i = 0; i < window; ++i) {
            Entry& entry = entry_of(caller, i);
            const void* address = entry.address.load(std::memory_order_acquire);
            if (address == caller) return entry.library.load(std::memory_order_acquire);
            if (address == nullptr) break;
        }
        return nullptr;
    }

    void remember(const void* caller, Library& library) noexcept {
        for (unsigned i = 0; i < window; ++i) {
            Entry& entry = entry_of(caller, i);
            const void* nobody = nullptr;
            if (entry.address.compare_exchange_strong(nobody, caller) || nobody == caller)
                return entry.library.store(&library, std::memory_order_release);
        }
    }

private:
    static constexpr unsigned size = 256;
    static constexpr unsigned window = 16;
    struct Entry {
        std::atomic<const void*> address;
        std::atomic<Library*> library;
    };
    Entry& entry_of(const void* caller, unsigned i) noexcept {
        const auto key = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(caller));
        return entries_[(((key * 0x9e3779b97f4a7c15ull) >> 56) + i) % size];
    }
    Entry entries_[size] = {};
};

}  // namespace remora::shim
