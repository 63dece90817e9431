// SPDX-License-Identifier: Apache-2.0
// What became of the spans of one destination.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace remora {

struct LatencyHistogram {
    static constexpr std::array<double, 11> bounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                      0.5,   1,    2.5,   5,    10};
    std::array<uint64_t, bounds.size() + 1> counts{};  // the last one: longer than all
    double seconds = 0;                                // the sum

    void add(double value) {
        size_t i = 0;
        while (i < bounds.size() && value > bounds[i]) ++i;
        ++counts[i];
        seconds += value;
    }
};

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
    LatencyHistogram latency;  // of requests, well answered or not
};

}  // namespace remora
