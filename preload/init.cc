// SPDX-License-Identifier: Apache-2.0
// The constructor: what happens in a program before main(). Other libraries' constructors may call
// our hooks before it and destructors after main() may call them later; both find constant-
// initialised state and pass through or work on.
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstring>

#include "preload/carriers.h"
#include "preload/child_environment.h"
#include "preload/environment.h"
#include "preload/process_state.h"
#include "preload/raw_syscall.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/small_text.h"

namespace remora::shim {
namespace {

// The main program's entry of this kind in its dynamic section, 0: none.
uint64_t dynamic_value(const Elf64_Dyn* dynamic, int64_t tag) noexcept {
    for (; dynamic->d_tag != DT_NULL; ++dynamic)
        if (dynamic->d_tag == tag) return dynamic->d_un.d_val;
    return 0;
}

bool needs_libc(const Elf64_Dyn* dynamic, uint64_t base) noexcept {
    uint64_t strings = dynamic_value(dynamic, DT_STRTAB);
    if (strings == 0) return true;
    if (strings < base) strings += base;  // ld.so relocates this entry in place, if it may write
    for (; dynamic->d_tag != DT_NULL; ++dynamic) {
        if (dynamic->d_tag != DT_NEEDED) continue;
        const auto* name = reinterpret_cast<const char*>(strings + dynamic->d_un.d_val);
        if (strncmp(name, "libc.so", 7) == 0) return true;
    }
    return false;
}

// A dynamic program without libc (Go, position-independent) has a runtime of its own that knows
// nothing of ours: hooks would never run, and state in libc would be in its way.
bool program_uses_libc() noexcept {
    const auto* headers = reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR));
    const uint64_t count = getauxval(AT_PHNUM);
    if (headers == nullptr) return true;
    const Elf64_Phdr* dynamic = nullptr;
    uint64_t base = 0;
    bool base_known = false;
    for (uint64_t i = 0; i < count; ++i) {
        if (headers[i].p_type == PT_PHDR) {
            base = reinterpret_cast<uint64_t>(headers) - headers[i].p_vaddr;
            base_known = true;
        }
        if (headers[i].p_type == PT_DYNAMIC) dynamic = &headers[i];
    }
    if (!base_known || dynamic == nullptr) return true;
    return needs_libc(reinterpret_cast<const Elf64_Dyn*>(base + dynamic->p_vaddr), base);
}

// Where ld.so found us, made absolute: a relative LD_PRELOAD must survive chdir().
void learn_library_path(const SessionAddress& address) noexcept {
    Dl_info us{};
    if (dladdr(reinterpret_cast<const void*>(&learn_library_path), &us) == 0) return;
    if (us.dli_fname == nullptr) return;
    SmallText<PATH_MAX> path;
    if (us.dli_fname[0] != '/') {
        char directory[PATH_MAX];
        if (raw_syscall(SYS_getcwd, directory, sizeof(directory)) <= 0) return;
        if (directory[0] != '/') return;  // "(unreachable)"
        path.add(directory).add("/");
    }
    path.add(us.dli_fname);
    if (!path.cut()) init_child_environment(address, path.text());
}

void at_exit(int status, void*) { record_exit(status); }

// glibc hands constructors what main() gets.
__attribute__((constructor)) void start(int argument_count, char** arguments, char** entries) {
    const int kept = errno;
    real::resolve_all();
    if (getauxval(AT_SECURE) == 0) {
        const Environment environment = read_environment(entries);
        SessionAddress address;
        if (!is_true(environment.disable) && parse_session(environment.session, address) &&
            program_uses_libc() && attach_session(address)) {
            learn_library_path(address);
            init_process(argument_count, arguments, environment);
            start_carrier(argument_count, arguments);
            on_exit(at_exit, nullptr);
        }
    }
    errno = kept;
}

}  // namespace
}  // namespace remora::shim
