// SPDX-License-Identifier: Apache-2.0
// Counts the spans that pass. on_span() on one thread, count() on any.
#pragma once

#include <atomic>
#include <utility>

#include "agent/span/span_sink.h"

namespace remora {

class SpanCounter : public SpanSink {
public:
    explicit SpanCounter(SpanSink& next) : next_(next) {}
    void on_span(const Span& span) override {
        count_.fetch_add(1, std::memory_order_relaxed);
        next_.on_span(span);
    }
    void on_span(Span&& span) override {
        count_.fetch_add(1, std::memory_order_relaxed);
        next_.on_span(std::move(span));
    }
    [[nodiscard]] uint64_t count() const { return count_.load(std::memory_order_relaxed); }

private:
    SpanSink& next_;
    std::atomic<uint64_t> count_{0};
};

}  // namespace remora
