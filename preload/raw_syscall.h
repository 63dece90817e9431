// SPDX-License-Identifier: Apache-2.0
// System calls without libc: x86-64's syscall instruction (System V ABI, A.2.1). Returns the result
// or -errno and leaves errno alone. Async-signal-safe, and safe in a vfork child.
#pragma once

#include <sys/syscall.h>

namespace remora {

template <typename... Arguments>
inline long raw_syscall(long number, Arguments... arguments) noexcept {
    static_assert(sizeof...(arguments) <= 6);
    const long words[6] = {(long)arguments...};
    register long r10 __asm__("r10") = words[3];
    register long r8 __asm__("r8") = words[4];
    register long r9 __asm__("r9") = words[5];
    long result = number;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(words[0]), "S"(words[1]), "d"(words[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

}  // namespace remora
