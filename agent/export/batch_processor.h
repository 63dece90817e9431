// SPDX-License-Identifier: Apache-2.0
// A bounded queue in front of one exporter, and the threads that empty it in batches: one for each
// request that the exporter lets be in flight.
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
#include <set>
#include <thread>
#include <vector>

#include "agent/config/config.h"
#include "agent/export/export_counts.h"
#include "agent/export/span_exporter.h"
#include "agent/span/span_sink.h"

namespace remora {

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
    [[nodiscard]] std::string name() const { return exporter_->name(); }

private:
    struct Queued {
        Span span;
        size_t bytes;
    };

    // Of a batch that is being exported: its place in the order of queueing, and its bytes.
    struct InFlight {
        uint64_t first;
        size_t bytes;
    };

    void work();
    void export_batches(std::unique_lock<std::mutex>& lock);
    void export_one_batch(std::unique_lock<std::mutex>& lock);
    bool wait_for_batch(std::unique_lock<std::mutex>& lock);
    std::vector<Span> take_batch(InFlight& place);
    void finish_batch(const InFlight& place);
    [[nodiscard]] uint64_t finished() const;
    void export_batch(const std::vector<Span>& batch, TimePoint deadline);
    void drop_rest(std::unique_lock<std::mutex>& lock);

    const std::unique_ptr<SpanExporter> exporter_;
    const BatchConfig config_;
    const CountLoss count_loss_;

    mutable std::mutex mutex_;  // guards all below
    std::condition_variable wake_;
    std::condition_variable progress_;
    std::deque<Queued> queue_;
    std::set<uint64_t> in_flight_;  // the first span of each batch, in terms of accepted_
    size_t held_bytes_ = 0;         // of the queue and of what is in flight
    TimePoint oldest_{};            // when the front was queued
    uint64_t accepted_ = 0;         // spans ever queued
    uint64_t taken_ = 0;            // spans ever taken out
    uint64_t flush_until_ = 0;      // in terms of accepted_
    ExportCounts counts_;
    bool stopping_ = false;
    TimePoint stop_deadline_ = TimePoint::max();

    size_t working_ = 0;
    std::vector<std::jthread> workers_;  // last: they use all of the above
};

// Roughly what a span occupies, its strings included.
size_t estimate_bytes(const Span& span);

}  // namespace remora
