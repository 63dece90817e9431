// SPDX-License-Identifier: Apache-2.0
#include "agent/span/span_times.h"

#include <algorithm>

namespace remora {
namespace {

constexpr uint64_t year_ns = 366ull * 24 * 3600 * 1000 * 1000 * 1000;

bool believable(uint64_t monotonic_ns, const ClockOffset& clock) {
    const uint64_t distance = monotonic_ns > clock.monotonic_ns ? monotonic_ns - clock.monotonic_ns
                                                                : clock.monotonic_ns - monotonic_ns;
    return monotonic_ns != 0 && distance < year_ns;
}

}  // namespace

SpanTimes span_times(uint64_t start_ns, uint64_t end_ns, const ClockOffset& clock) {
    SpanTimes times;
    const bool good_start = believable(start_ns, clock);
    const bool good_end = believable(end_ns, clock);
    times.nonsense = !good_start || (end_ns != 0 && (!good_end || end_ns < start_ns));
    const uint64_t start = good_start ? start_ns : good_end ? end_ns : clock.monotonic_ns;
    const uint64_t end = good_end ? std::max(end_ns, start) : start;
    times.start_unix_ns = clock.wall(start);
    times.end_unix_ns = clock.wall(end);
    return times;
}

}  // namespace remora
