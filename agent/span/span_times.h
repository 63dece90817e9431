// SPDX-License-Identifier: Apache-2.0
// Monotonic times of a record, which a target may have written, as wall-clock times of a span.
#pragma once

#include <cstdint>

#include "agent/ingest/record_sink.h"

namespace remora {

struct SpanTimes {
    uint64_t start_unix_ns = 0;
    uint64_t end_unix_ns = 0;  // >= start
    bool nonsense = false;     // something had to be mended: the writer is broken or hostile
};

// end_ns 0: not known, the span then ends where it starts. Times more than a year away from the
// clock's reading are not believed.
SpanTimes span_times(uint64_t start_ns, uint64_t end_ns, const ClockOffset& clock);

}  // namespace remora
