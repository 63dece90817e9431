// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/library_search.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cerrno>
#include <cstring>

namespace remora::shim {
namespace {

// Only what is loaded already; the loader's error text is the program's, not ours.
void* open_loaded(const char* file) noexcept {
    void* handle = dlopen(file, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) (void)dlerror();
    return handle;
}

void* symbol(void* handle, const char* name) noexcept {
    void* found = dlsym(handle, name);
    if (found == nullptr) (void)dlerror();
    return found;
}

bool is_ours(const void* base) noexcept {
    Dl_info us{};
    return dladdr(reinterpret_cast<const void*>(&is_ours), &us) != 0 && us.dli_fbase == base;
}

// The mapping of the object whose ELF header is at `base`: ld.so has read the same headers there.
uintptr_t end_of(const void* base) noexcept {
    const auto* header = static_cast<const Elf64_Ehdr*>(base);
    const auto start = reinterpret_cast<uintptr_t>(base);
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(start + header->e_phoff);
    uintptr_t first = ~uintptr_t{0}, end = 0;
    for (unsigned i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type != PT_LOAD) continue;
        if (segments[i].p_vaddr < first) first = segments[i].p_vaddr;
        const uintptr_t stop = segments[i].p_vaddr + segments[i].p_memsz;
        if (stop > end) end = stop;
    }
    return first > end ? start : start + (end - (first & ~uintptr_t{4095}));
}

// The library that holds this very function, with a handle of its own.
LoadedLibrary library_of(void* function) noexcept {
    LoadedLibrary library;
    Dl_info info{};
    link_map* map = nullptr;
    if (function == nullptr ||
        dladdr1(function, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0)
        return library;
    if (is_ours(info.dli_fbase) || map == nullptr) return library;
    // "" is the program itself: its handle is the global scope, where we come first.
    if (map->l_name == nullptr || map->l_name[0] == 0) return library;
    library.handle = open_loaded(map->l_name);
    library.begin = reinterpret_cast<uintptr_t>(info.dli_fbase);
    library.end = end_of(info.dli_fbase);
    return library;
}

LoadedLibrary behind_caller(const char* function, const void* caller) noexcept {
    Dl_info info{};
    link_map* map = nullptr;
    if (dladdr1(caller, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0) return {};
    if (map == nullptr || map->l_name == nullptr || map->l_name[0] == 0) return {};
    void* handle = open_loaded(map->l_name);
    if (handle == nullptr) return {};
    const LoadedLibrary library = library_of(symbol(handle, function));
    dlclose(handle);  // it stays loaded: we were called from it
    return library;
}

struct Names {
    static constexpr unsigned most = 16;
    const char* wanted;
    const char* found[most];
    unsigned count = 0;
};

int collect(dl_phdr_info* info, size_t, void* argument) {
    Names& names = *static_cast<Names*>(argument);
    const char* slash = info->dlpi_name == nullptr ? nullptr : strrchr(info->dlpi_name, '/');
    const char* file = slash == nullptr ? info->dlpi_name : slash + 1;
    if (file != nullptr && strstr(file, names.wanted) != nullptr && names.count < Names::most)
        names.found[names.count++] = info->dlpi_name;
    return 0;
}

class KeepErrno {
public:
    KeepErrno() : saved_(errno) {}
    ~KeepErrno() { errno = saved_; }

private:
    int saved_;
};

LoadedLibrary nth_loaded(const char* function, const char* name, unsigned n) noexcept {
    Names names{name};
    dl_iterate_phdr(collect, &names);
    for (unsigned i = 0; i < names.count; ++i) {
        void* handle = open_loaded(names.found[i]);
        if (handle == nullptr) continue;
        LoadedLibrary library = library_of(symbol(handle, function));
        dlclose(handle);
        if (library && n-- == 0) return library;
    }
    return {};
}

}  // namespace

LoadedLibrary find_library(const char* function, const char* name, const void* caller) noexcept {
    const KeepErrno keep;
    LoadedLibrary library = behind_caller(function, caller);
    if (!library) library = library_of(symbol(RTLD_NEXT, function));
    if (library) return library;
    library = nth_loaded(function, name, 0);
    const LoadedLibrary second = nth_loaded(function, name, 1);
    if (second && second.begin != library.begin) return {};
    return library;
}

LoadedLibrary find_loaded(const char* function, const char* name, unsigned n) noexcept {
    const KeepErrno keep;
    return nth_loaded(function, name, n);
}

void find_functions(const LoadedLibrary& library, const char* names, void* functions) noexcept {
    const KeepErrno keep;
    auto* function = static_cast<void**>(functions);
    for (; *names != 0; names += strlen(names) + 1) *function++ = symbol(library.handle, names);
}

}  // namespace remora::shim
