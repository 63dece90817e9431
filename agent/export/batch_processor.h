// SPDX-License-Identifier: Apache-2.0
// A bounded queue in front of one exporter, and the thread that empties it in batches.
//
// A batch leaves when OTEL_BSP_MAX_EXPORT_BATCH_SIZE spans wait or the oldest has waited for
// OTEL_BSP_SCHEDULE_DELAY. A queue that has grown meanwhile is sent in larger batches, so that a
// slow collector gets fewer requests, not later spans. A full queue drops the newest span, counted
// as queue_full. on_span() never blocks on the exporter.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/config/config.h"
#include "agent/export/span_exporter.h"
#include "agent/span/span_sink.h"

namespace remora {

struct ExportCounts {
    uint64_t exported = 0;
    uint64_t failed = 0;   // the exporter gave up on them
    uint64_t dropped = 0;  // the queue was full, or the processor had stopped
};

// Thread-safe, but for stop(), which belongs to the owner.
class BatchProcessor : public SpanSink {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    BatchProcessor(std::unique_ptr<SpanExporter> exporter, const BatchConfig& config,
                   CountLoss count_loss);
    ~BatchProcessor() override;  // stops without waiting for the queue
    BatchProcessor(const BatchProcessor&) = delete;
    BatchProcessor& operator=(const BatchProcessor&) = delete;

    void on_span(const Span& span) override { on_span(Span(span)); }
    void on_span(Span&& span) override;

    // Exports everything that was queued before the call. False: not all by the deadline.
    bool force_flush(TimePoint deadline);

    // Takes no more spans, exports what is queued, drops (counted) what is left at the deadline.
    // begin_stop() does not wait for it: several processors drain side by side. Idempotent.
    void begin_stop(TimePoint deadline);
    void stop(TimePoint deadline);

    [[nodiscard]] ExportCounts counts() const;

private:
    struct Queued {
        Span span;
        size_t bytes;
    };

    void work();
    bool wait_for_batch(std::unique_lock<std::mutex>& lock);
    std::vector<Span> take_batch();
    void export_batch(const std::vector<Span>& batch, TimePoint deadline);
    void drop_rest(std::unique_lock<std::mutex>& lock);

    const std::unique_ptr<SpanExporter> exporter_;
    const BatchConfig config_;
    const CountLoss count_loss_;

    mutable std::mutex mutex_;  // guards all below
    std::condition_variable wake_;
    std::condition_variable progress_;
    std::deque<Queued> queue_;
    size_t queue_bytes_ = 0;
    TimePoint oldest_{};        // when the front was queued
    uint64_t accepted_ = 0;     // spans ever queued
    uint64_t finished_ = 0;     // spans ever taken out and done with
    uint64_t flush_until_ = 0;  // in terms of accepted_
    ExportCounts counts_;
    bool stopping_ = false;
    TimePoint stop_deadline_ = TimePoint::max();

    std::jthread worker_;  // last: it uses all of the above
};

// Roughly what a span occupies, its strings included.
size_t estimate_bytes(const Span& span);

}  // namespace remora
