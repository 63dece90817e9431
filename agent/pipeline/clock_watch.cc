// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/clock_watch.h"

#include "agent/base/clock.h"

namespace remora {

std::optional<ClockOffset> ClockWatch::look(uint64_t before_ns, uint64_t realtime_ns,
                                            uint64_t after_ns) {
    const ClockOffset now{before_ns, realtime_ns};
    if (current_) {
        if (after_ns - before_ns > reading_limit_ns) return std::nullopt;
        const uint64_t expected = current_->wall(before_ns);
        const uint64_t moved =
            realtime_ns > expected ? realtime_ns - expected : expected - realtime_ns;
        if (moved < tolerance_ns) return std::nullopt;
    }
    current_ = now;
    return now;
}

std::optional<ClockOffset> ClockWatch::look() {
    const uint64_t before = monotonic_ns();
    const uint64_t realtime = realtime_ns();
    return look(before, realtime, monotonic_ns());
}

}  // namespace remora
