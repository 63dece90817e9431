// SPDX-License-Identifier: Apache-2.0
// Which loaded library would a caller have reached, were our wrapper not in front of it?
//
// TLS libraries come in by dlopen(RTLD_LOCAL) more often than not (Python, Ruby), so that RTLD_NEXT
// does not find them, and two of one kind can live in one process. Takes the loader's lock, so
// these are asked once per caller or library, never per call. errno is kept; nothing is ever
// loaded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora::shim {

struct LoadedLibrary {
    void* handle = nullptr;  // for dlsym; held for good, so that its functions stay where they are
    uintptr_t begin = 0;     // its mapping
    uintptr_t end = 0;
    [[nodiscard]] bool contains(uintptr_t address) const { return address - begin < end - begin; }
    explicit operator bool() const { return handle != nullptr; }
};

// The library that defines `function` for the code at `caller`: in the caller's own dependencies,
// else behind us in the global scope, else the only loaded library whose file name has `name` in
// it.
LoadedLibrary find_library(const char* function, const char* name, const void* caller) noexcept;
// The n-th loaded library whose file name has `name` in it and that defines `function`.
LoadedLibrary find_loaded(const char* function, const char* name, unsigned n) noexcept;
// names: each with its NUL, and one more at the end. functions: as many pointers, in that order;
// null for those that the library lacks.
void find_functions(const LoadedLibrary& library, const char* names, void* functions) noexcept;

}  // namespace remora::shim
