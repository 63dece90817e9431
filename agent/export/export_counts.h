// SPDX-License-Identifier: Apache-2.0
// What became of the spans of one destination.
#pragma once

#include <cstdint>

namespace remora {

struct ExportCounts {
    uint64_t exported = 0;  // those that were replayed from the spool included
    uint64_t failed = 0;    // the exporter gave up on them
    uint64_t dropped = 0;   // the queue was full, or the processor had stopped
    uint64_t spooled = 0;   // ever written to the spool
    // Now:
    uint64_t queued = 0;
    uint64_t queued_bytes = 0;  // what is being exported included
    uint64_t spool_spans = 0;
    uint64_t spool_bytes = 0;
};

}  // namespace remora
