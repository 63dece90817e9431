// SPDX-License-Identifier: Apache-2.0
// The seam of tail sampling: every finished span passes here before it is exported or shown. All
// pass; a policy would hold back the spans of a trace and drop whole local traces, counted.
#pragma once

#include <chrono>
#include <utility>

#include "agent/span/span_sink.h"

namespace remora {

class TailSampler : public SpanSink {
public:
    // next is the caller's and must outlive the sampler.
    explicit TailSampler(SpanSink& next) : next_(next) {}

    void on_span(const Span& span) override { next_.on_span(span); }
    void on_span(Span&& span) override { next_.on_span(std::move(span)); }

    // Hands on what is held back. Idempotent.
    void stop(std::chrono::steady_clock::time_point /*deadline*/) {}

private:
    SpanSink& next_;
};

}  // namespace remora
