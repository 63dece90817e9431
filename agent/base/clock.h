// SPDX-License-Identifier: Apache-2.0
// The clocks that records are stamped with, as nanoseconds. Any thread; no system call (vDSO).
#pragma once

#include <cstdint>
#include <ctime>

namespace remora {

inline uint64_t clock_ns(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
inline uint64_t boottime_ns() { return clock_ns(CLOCK_BOOTTIME); }  // goes on while suspended
inline uint64_t realtime_ns() { return clock_ns(CLOCK_REALTIME); }

}  // namespace remora
