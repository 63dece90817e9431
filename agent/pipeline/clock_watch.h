// SPDX-License-Identifier: Apache-2.0
// Notices when the wall clock has moved against the monotonic one: it was set, slewed, or the
// machine was suspended. Nanoseconds. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "agent/ingest/record_sink.h"

namespace remora {

class ClockWatch {
public:
    // Smaller differences are left alone: spans of one trace keep their order.
    static constexpr uint64_t tolerance_ns = 20'000'000;
    // Clocks that were read further apart than this tell nothing: we lost the processor in between.
    static constexpr uint64_t reading_limit_ns = 1'000'000;

    // The wall clock was read between two looks at the monotonic one. What spans shall be stamped
    // with from now on; nothing: as before.
    std::optional<ClockOffset> look(uint64_t before_ns, uint64_t realtime_ns, uint64_t after_ns);
    std::optional<ClockOffset> look();  // at the system's clocks

private:
    std::optional<ClockOffset> current_;
};

}  // namespace remora
