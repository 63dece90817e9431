// SPDX-License-Identifier: Apache-2.0
// Where finished spans go next: the tail sampler, the batcher, a view. Calls come from one thread.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "agent/span/span.h"
#include "bpf/abi/loss.h"

namespace remora {

class SpanSink {
public:
    virtual ~SpanSink() = default;
    virtual void on_span(const Span& span) = 0;
    // For sinks that keep the span; the others read it.
    virtual void on_span(Span&& span) { on_span(static_cast<const Span&>(span)); }
};

// Hands every span to several sinks, in order; the last one may take it. The sinks are the
// caller's and must outlive it.
class SpanFanOut : public SpanSink {
public:
    explicit SpanFanOut(std::vector<SpanSink*> sinks) : sinks_(std::move(sinks)) {}
    void on_span(const Span& span) override {
        for (SpanSink* sink : sinks_) sink->on_span(span);
    }
    void on_span(Span&& span) override {
        if (sinks_.empty()) return;
        for (size_t i = 0; i + 1 < sinks_.size(); ++i)
            sinks_[i]->on_span(static_cast<const Span&>(span));
        sinks_.back()->on_span(std::move(span));
    }

private:
    std::vector<SpanSink*> sinks_;
};

// Adds to a loss counter. May be called from any thread that the stage in question has.
using CountLoss = std::function<void(remora_loss reason, uint64_t count)>;

}  // namespace remora
