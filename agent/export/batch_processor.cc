// SPDX-License-Identifier: Apache-2.0
#include "agent/export/batch_processor.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/base/block_signals.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;

// Strings of up to 15 bytes live in the object.
size_t heap_bytes(const std::string& text) { return text.size() < 16 ? 0 : text.size() + 17; }

size_t heap_bytes(const std::vector<Attribute>& attributes) {
    size_t bytes = attributes.capacity() * sizeof(Attribute);
    for (const Attribute& attribute : attributes) {
        bytes += heap_bytes(attribute.key);
        if (const auto* text = std::get_if<std::string>(&attribute.value))
            bytes += heap_bytes(*text);
        else if (const auto* texts = std::get_if<std::vector<std::string>>(&attribute.value))
            for (const std::string& item : *texts) bytes += sizeof(item) + heap_bytes(item);
    }
    return bytes;
}

}  // namespace

size_t estimate_bytes(const Span& span) {
    size_t bytes = sizeof(Span) + heap_bytes(span.name) + heap_bytes(span.trace_state) +
                   heap_bytes(span.status_message) + heap_bytes(span.attributes);
    for (const SpanEvent& event : span.events)
        bytes += sizeof(event) + heap_bytes(event.name) + heap_bytes(event.attributes);
    for (const SpanLink& link : span.links)
        bytes += sizeof(link) + heap_bytes(link.trace_state) + heap_bytes(link.attributes);
    return bytes;
}

BatchProcessor::BatchProcessor(std::unique_ptr<SpanExporter> exporter, const BatchConfig& config,
                               CountLoss count_loss)
    : exporter_(std::move(exporter)),
      config_(config),
      count_loss_(std::move(count_loss)),
      working_(exporter_->most_in_flight()) {
    for (size_t i = working_; i > 0; --i) workers_.emplace_back([this] { work(); });
}

BatchProcessor::~BatchProcessor() { stop(Clock::now()); }

void BatchProcessor::on_span(Span&& span) {
    const size_t bytes = estimate_bytes(span);
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || queue_.size() >= config_.max_queue_size ||
            held_bytes_ + bytes > config_.max_queue_bytes) {
            ++counts_.dropped;
        } else {
            if (queue_.empty()) oldest_ = Clock::now();
            queue_.push_back({std::move(span), bytes});
            held_bytes_ += bytes;
            ++accepted_;
            // At one to start the clock of the delay, at a full batch to send it.
            wake = queue_.size() == 1 || queue_.size() == config_.max_export_batch_size;
            if (!wake) return;
        }
    }
    if (wake)
        wake_.notify_one();
    else
        count_loss_(REMORA_LOSS_queue_full, 1);
}

bool BatchProcessor::force_flush(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    const uint64_t target = accepted_;
    flush_until_ = std::max(flush_until_, target);
    wake_.notify_one();
    return progress_.wait_until(lock, deadline, [&] { return finished() >= target; });
}

void BatchProcessor::begin_stop(TimePoint deadline) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        stop_deadline_ = std::min(stop_deadline_, deadline);
    }
    exporter_->hurry(deadline);
    wake_.notify_all();
}

void BatchProcessor::stop(TimePoint deadline) {
    begin_stop(deadline);
    for (std::jthread& worker : workers_)
        if (worker.joinable()) worker.join();
}

ExportCounts BatchProcessor::counts() const {
    ExportCounts counts;
    {
        const std::lock_guard lock(mutex_);
        counts = counts_;
        counts.queued = queue_.size();
        counts.queued_bytes = held_bytes_;
    }
    exporter_->add_counts(counts);
    return counts;
}

void BatchProcessor::work() {
    block_all_signals();
    std::unique_lock lock(mutex_);
    export_batches(lock);
    if (--working_ > 0) return;
    while (!queue_.empty() && exporter_->has_spool()) export_one_batch(lock);
    drop_rest(lock);
    const TimePoint deadline = stop_deadline_;
    lock.unlock();
    // What could not be flushed was said by the exporter.
    [[maybe_unused]] const Status status = exporter_->stop(deadline);
}

void BatchProcessor::export_batches(std::unique_lock<std::mutex>& lock) {
    while (wait_for_batch(lock)) export_one_batch(lock);
}

void BatchProcessor::export_one_batch(std::unique_lock<std::mutex>& lock) {
    InFlight place{};
    {
        const std::vector<Span> batch = take_batch(place);
        const TimePoint deadline = std::min(Clock::now() + config_.export_timeout, stop_deadline_);
        // What is left may be a batch for somebody else.
        if (!queue_.empty()) wake_.notify_one();
        lock.unlock();
        export_batch(batch, deadline);
    }
    lock.lock();
    finish_batch(place);
}

// False: there is nothing left to do, or no time.
bool BatchProcessor::wait_for_batch(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (stopping_) return !queue_.empty() && Clock::now() < stop_deadline_;
        const bool flush = taken_ < flush_until_;
        if (!queue_.empty() && (flush || queue_.size() >= config_.max_export_batch_size ||
                                Clock::now() >= oldest_ + config_.schedule_delay))
            return true;
        if (queue_.empty())
            wake_.wait(lock);
        else
            wake_.wait_until(lock, oldest_ + config_.schedule_delay);
    }
}

std::vector<Span> BatchProcessor::take_batch(InFlight& place) {
    const size_t most = std::max(config_.max_export_batch_size, config_.max_grown_batch_size);
    const size_t count = std::min(queue_.size(), most);
    std::vector<Span> batch;
    batch.reserve(count);
    place.first = taken_;
    taken_ += count;
    in_flight_.insert(place.first);
    for (size_t i = 0; i < count; ++i) {
        place.bytes += queue_.front().bytes;
        batch.push_back(std::move(queue_.front().span));
        queue_.pop_front();
    }
    oldest_ = Clock::now();  // what stays waits for at most one more delay
    return batch;
}

void BatchProcessor::finish_batch(const InFlight& place) {
    in_flight_.erase(place.first);
    held_bytes_ -= place.bytes;
    progress_.notify_all();
}

// Everything that was queued before this one is done with.
uint64_t BatchProcessor::finished() const {
    return in_flight_.empty() ? taken_ : *in_flight_.begin();
}

void BatchProcessor::export_batch(const std::vector<Span>& batch, TimePoint deadline) {
    const auto delivery = exporter_->export_spans(batch, deadline);
    if (!delivery) count_loss_(REMORA_LOSS_export_failed, batch.size());
    const std::lock_guard lock(mutex_);
    uint64_t& count = !delivery                     ? counts_.failed
                      : *delivery == Delivery::sent ? counts_.exported
                                                    : counts_.spooled;
    count += batch.size();
}

void BatchProcessor::drop_rest(std::unique_lock<std::mutex>& lock) {
    const size_t count = queue_.size();
    if (count == 0) return;
    queue_.clear();
    held_bytes_ = 0;
    taken_ += count;
    counts_.failed += count;
    progress_.notify_all();
    lock.unlock();
    count_loss_(REMORA_LOSS_export_failed, count);
    spdlog::warn("{} spans were not exported: the time to drain was over (REMORA_DRAIN_TIMEOUT)",
                 count);
    lock.lock();
}

}  // namespace remora
