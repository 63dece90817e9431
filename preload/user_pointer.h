// SPDX-License-Identifier: Apache-2.0
// Pointers that a program hands to a call: those that can't be a user's are the kernel's to refuse
// (EFAULT); we must not follow them. An address that only isn't mapped can't be told without asking.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace remora::shim {

inline bool plausible(const void* pointer) noexcept {
    const auto at = reinterpret_cast<uintptr_t>(pointer);
    return at >= 4096 && at < (uintptr_t{1} << 47);
}

// May the array be read, and what it points to?
inline bool readable(const iovec* parts, size_t count) noexcept {
    if (count > 0 && !plausible(parts)) return false;
    for (size_t i = 0; i < count; ++i)
        if (parts[i].iov_len > 0 && !plausible(parts[i].iov_base)) return false;
    return true;
}

}  // namespace remora::shim
