// SPDX-License-Identifier: Apache-2.0
// exec and posix_spawn, each of the family by itself: inside glibc none of them goes through an
// interposed execve. The new program gets the caller's environment with us kept in it; where the
// enlarged environment is too big, it gets the caller's own.
//
// All of this may run in a vfork child, on its parent's memory: stack only.
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/child_environment.h"
#include "preload/exec_target.h"
#include "preload/own_environment.h"
#include "preload/process_state.h"
#include "preload/raw_syscall.h"
#include "preload/real.h"

namespace remora::shim {
namespace {

// As many pointers as we ask of the caller's stack: 16 KiB.
constexpr size_t entries_on_stack = 2048;
// And of a mapping; beyond this the program starts with the caller's own environment.
constexpr size_t entries_at_all = 1u << 20;

// Calls `start(environment)` with the child's environment, and once more with the caller's own if
// that was too big. `start` returns 0 or an errno.
template <typename Start>
int with_child_environment(char* const* caller, bool loads_us, Start start) noexcept {
    const size_t count = count_entries(caller);
    const size_t bytes = (count + ChildEnvironment::entries_added + 1) * sizeof(char*);
    const bool on_stack = count <= entries_on_stack;
    // A mapping made by a vfork child would stay with its parent.
    if (!on_stack && (count > entries_at_all || seccomp_filtered() || in_vfork_child()))
        return start(caller);
    void* room = nullptr;
    if (on_stack) {
        room = __builtin_alloca(bytes);
    } else {
        const long address = raw_syscall(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (address < 0 && address >= -4095) return start(caller);
        room = reinterpret_cast<void*>(address);
    }
    ChildEnvironment environment;
    auto** entries = static_cast<char**>(room);
    int error = E2BIG;
    const bool built = environment.build(caller, count, loads_us, entries);
    if (built) error = start(entries);
    if (!built || error == E2BIG) error = start(caller);
    if (!on_stack) raw_syscall(SYS_munmap, room, bytes);
    return error;
}

// exec comes back only to say why it failed.
int failed(int error) noexcept {
    errno = error;
    return -1;
}

int run_path(const char* path, char* const* arguments, char* const* environment) noexcept {
    return failed(with_child_environment(environment, target_loads_us(AT_FDCWD, path),
                                         [&](char* const* entries) {
                                             real::execve(path, arguments, entries);
                                             return errno;
                                         }));
}

int run_named(const char* file, char* const* arguments, char* const* environment) noexcept {
    return failed(
        with_child_environment(environment, named_target_loads_us(file), [&](char* const* entries) {
            real::execvpe(file, arguments, entries);
            return errno;
        }));
}

// The arguments of execl and its kin: pointers up to and with a null pointer.
size_t count_arguments(const char* first, va_list* rest) noexcept {
    size_t count = 1;
    if (first != nullptr) do
            ++count;
        while (va_arg(*rest, char*) != nullptr);
    return count;
}

void collect_arguments(const char* first, va_list* rest, size_t count, char** out) noexcept {
    out[0] = const_cast<char*>(first);
    for (size_t i = 1; i < count; ++i) out[i] = va_arg(*rest, char*);
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER int execve(const char* path, char* const* arguments,
                          char* const* environment) noexcept {
    return run_path(path, arguments, environment);
}

REMORA_WRAPPER int execv(const char* path, char* const* arguments) noexcept {
    return run_path(path, arguments, environ);
}

REMORA_WRAPPER int execvp(const char* file, char* const* arguments) noexcept {
    return run_named(file, arguments, environ);
}

REMORA_WRAPPER int execvpe(const char* file, char* const* arguments,
                           char* const* environment) noexcept {
    return run_named(file, arguments, environment);
}

REMORA_WRAPPER int execveat(int directory, const char* path, char* const* arguments,
                            char* const* environment, int flags) noexcept {
    return failed(with_child_environment(
        environment, target_loads_us(directory, path), [&](char* const* entries) {
            real::execveat(directory, path, arguments, entries, flags);
            return errno;
        }));
}

REMORA_WRAPPER int fexecve(int fd, char* const* arguments, char* const* environment) noexcept {
    // Unlike the others glibc's refuses this.
    if (environment == nullptr) return real::fexecve(fd, arguments, environment);
    return failed(
        with_child_environment(environment, target_loads_us(fd, ""), [&](char* const* entries) {
            real::fexecve(fd, arguments, entries);
            return errno;
        }));
}

// Declares `arguments`, the list copied onto the stack as libc does it; `list` is left behind it.
#define REMORA_ARGUMENTS(arguments, first, list)                                     \
    va_list list;                                                                    \
    va_start(list, first);                                                           \
    const size_t count = count_arguments(first, &list);                              \
    va_end(list);                                                                    \
    auto** arguments = static_cast<char**>(__builtin_alloca(count * sizeof(char*))); \
    va_start(list, first);                                                           \
    collect_arguments(first, &list, count, arguments)

REMORA_WRAPPER int execl(const char* path, const char* first, ...) noexcept {
    REMORA_ARGUMENTS(arguments, first, list);
    va_end(list);
    return run_path(path, arguments, environ);
}

REMORA_WRAPPER int execlp(const char* file, const char* first, ...) noexcept {
    REMORA_ARGUMENTS(arguments, first, list);
    va_end(list);
    return run_named(file, arguments, environ);
}

REMORA_WRAPPER int execle(const char* path, const char* first, ...) noexcept {
    REMORA_ARGUMENTS(arguments, first, list);
    char* const* environment = va_arg(list, char* const*);
    va_end(list);
    return run_path(path, arguments, environment);
}

REMORA_WRAPPER int posix_spawn(pid_t* child, const char* path,
                               const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes, char* const* arguments,
                               char* const* environment) {
    return with_child_environment(
        environment, target_loads_us(AT_FDCWD, path), [&](char* const* entries) {
            return real::posix_spawn(child, path, actions, attributes, arguments, entries);
        });
}

REMORA_WRAPPER int posix_spawnp(pid_t* child, const char* file,
                                const posix_spawn_file_actions_t* actions,
                                const posix_spawnattr_t* attributes, char* const* arguments,
                                char* const* environment) {
    return with_child_environment(
        environment, named_target_loads_us(file), [&](char* const* entries) {
            return real::posix_spawnp(child, file, actions, attributes, arguments, entries);
        });
}

REMORA_WRAPPER int system(const char* command) {
    prepare_own_environment();
    return real::system(command);
}

REMORA_WRAPPER FILE* popen(const char* command, const char* mode) {
    prepare_own_environment();
    return real::popen(command, mode);
}
