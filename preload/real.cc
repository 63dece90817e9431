// SPDX-License-Identifier: Apache-2.0
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>

#include <type_traits>

#include "preload/raw_syscall.h"

namespace remora::real {
namespace {

enum class Hook {
#define REMORA_HOOK(result, name, parameters, arguments) name,
#include "preload/hooks.def"
};

// The list repeats libc's prototypes; a slip would corrupt arguments, so libc's are compared.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#define REMORA_HOOK(result, name, parameters, arguments)                          \
    static_assert(std::is_convertible_v<decltype(&::name), result(*) parameters>, \
                  #name " is not declared like this in libc's header");
#define REMORA_HOOK_UNDECLARED(...)
#include "preload/hooks.def"
#pragma GCC diagnostic pop

// --- when libc has no such function ------------------------------------------------------------

long call(long number, long a, long b, long c, long d, long e, long f) {
    long result = raw_syscall(number, a, b, c, d, e, f);
    if (result < 0 && result >= -4095) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

// The system call `number` with a function's own arguments.
template <long number, typename Function>
struct Raw;
template <long number, typename Result, typename... Parameters>
struct Raw<number, Result (*)(Parameters...)> {
    static Result function(Parameters... arguments) {
        const long words[6] = {(long)arguments...};
        return static_cast<Result>(
            call(number, words[0], words[1], words[2], words[3], words[4], words[5]));
    }
};

int raw_close_range_without_flags(int first) {
    return static_cast<int>(call(SYS_close_range, first, ~0u, 0, 0, 0, 0));
}
int raw_epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                     const sigset_t* signals) {
    constexpr long kernel_sigset_size = 8;
    return static_cast<int>(call(SYS_epoll_pwait2, epoll, (long)events, count, (long)timeout,
                                 (long)signals, kernel_sigset_size));
}
int raw_fcntl64(int fd, int command, long word) { return real::fcntl(fd, command, word); }

// Functions that a libc of our time may lack. The others are as old as x86-64's first libc.
template <Hook hook>
constexpr auto substitute = nullptr;
template <>
constexpr auto substitute<Hook::close_range> =
    Raw<SYS_close_range, decltype(close_range)>::function;
template <>
constexpr auto substitute<Hook::closefrom> = raw_close_range_without_flags;
template <>
constexpr auto substitute<Hook::epoll_pwait2> = raw_epoll_pwait2;
template <>
constexpr auto substitute<Hook::execveat> = Raw<SYS_execveat, decltype(execveat)>::function;
template <>
constexpr auto substitute<Hook::fcntl64> = raw_fcntl64;
template <>
constexpr auto substitute<Hook::read> = Raw<SYS_read, decltype(read)>::function;
template <>
constexpr auto substitute<Hook::write> = Raw<SYS_write, decltype(write)>::function;
template <>
constexpr auto substitute<Hook::close> = Raw<SYS_close, decltype(close)>::function;

long unavailable() {
    errno = ENOSYS;
    return -1;
}

template <typename Function>
void resolve(Function& pointer, const char* name, const void* instead) {
    void* found = dlsym(RTLD_NEXT, name);
    if (found == nullptr) {
        (void)dlerror();  // not the program's to see
        found = const_cast<void*>(instead != nullptr ? instead : (const void*)&unavailable);
    }
    // Relaxed: every thread that races here stores the same value.
    __atomic_store_n(&pointer, reinterpret_cast<Function>(found), __ATOMIC_RELAXED);
}

#define REMORA_HOOK(result, name, parameters, arguments) \
    void resolve_##name() { resolve(real::name, #name, (const void*)substitute<Hook::name>); }
#include "preload/hooks.def"

// --- what each pointer starts as ---------------------------------------------------------------

#define REMORA_ALL(...) __VA_ARGS__
#define REMORA_HOOK(result, name, parameters, arguments) \
    result first_##name parameters {                     \
        int kept = errno;                                \
        resolve_##name();                                \
        errno = kept;                                    \
        return real::name arguments;                     \
    }
#define REMORA_HOOK_VARIADIC(result, name, parameters, arguments, last)                           \
    result first_##name parameters {                                                              \
        int kept = errno;                                                                         \
        resolve_##name();                                                                         \
        errno = kept;                                                                             \
        va_list list;                                                                             \
        va_start(list, last);                                                                     \
        long words[6];                                                                            \
        for (long& word : words) word = va_arg(list, long);                                       \
        va_end(list);                                                                             \
        return real::name(REMORA_ALL arguments, words[0], words[1], words[2], words[3], words[4], \
                          words[5]);                                                              \
    }
#include "preload/hooks.def"

}  // namespace

#define REMORA_HOOK(result, name, parameters, arguments) \
    constinit decltype(real::name) name = first_##name;
#include "preload/hooks.def"

void resolve_all() noexcept {
    const int kept = errno;
#define REMORA_HOOK(result, name, parameters, arguments) resolve_##name();
#include "preload/hooks.def"
    errno = kept;
}

}  // namespace remora::real
