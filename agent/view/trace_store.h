// SPDX-License-Identifier: Apache-2.0
// The recent spans in memory, grouped by trace. Bounded: the oldest trace makes room for the
// newest, and what is known of those that left is how many, how slow and how many failed.
// Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/span/span_sink.h"
#include "agent/view/trace_view.h"

namespace remora {

struct TraceTotals {
    size_t traces = 0;
    size_t spans = 0;
    size_t with_errors = 0;
    uint64_t slowest_ns = 0;
    TraceId slowest;

    void add(const TraceView& trace);
};

class TraceStore : public SpanSink {
public:
    explicit TraceStore(size_t spans_limit = 20000) : spans_limit_(spans_limit) {}

    using SpanSink::on_span;
    void on_span(const Span& span) override;

    struct Content {
        std::vector<TraceView> traces;  // by start, earliest first
        TraceTotals gone;               // left to make room
    };
    [[nodiscard]] Content content() const;

private:
    struct HashTraceId {
        size_t operator()(const TraceId& id) const noexcept;
    };
    void drop_oldest();

    const size_t spans_limit_;
    mutable std::mutex mutex_;  // guards all below
    std::unordered_map<TraceId, TraceView, HashTraceId> traces_;
    std::deque<TraceId> order_;  // by first span
    size_t spans_ = 0;           // kept in all traces
    TraceTotals gone_;
};

}  // namespace remora
