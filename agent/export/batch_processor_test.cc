// SPDX-License-Identifier: Apache-2.0
#include "agent/export/batch_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "agent/export/exporters.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::Le;
using Clock = std::chrono::steady_clock;

// What the exporter in a processor did; outlives it.
struct Record {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<size_t> batches;
    size_t spans = 0;
    size_t entered = 0;
    bool gate_open = true;
    bool fails = false;
    bool stopped = false;

    void open_gate() {
        const std::lock_guard lock(mutex);
        gate_open = true;
        changed.notify_all();
    }
    void wait_for_entry(size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return entered >= count; });
    }
};

class FakeExporter : public SpanExporter {
public:
    explicit FakeExporter(Record& record) : record_(record) {}
    Result<Delivery> export_spans(const std::vector<Span>& batch,
                                  BatchProcessor::TimePoint) override {
        std::unique_lock lock(record_.mutex);
        ++record_.entered;
        record_.changed.notify_all();
        record_.changed.wait(lock, [&] { return record_.gate_open || hurried_; });
        if (record_.fails || !record_.gate_open) return Error{"it fails"};
        record_.batches.push_back(batch.size());
        record_.spans += batch.size();
        return Delivery::sent;
    }
    void hurry(BatchProcessor::TimePoint deadline) noexcept override {
        if (deadline > Clock::now()) return;
        const std::lock_guard lock(record_.mutex);
        hurried_ = true;
        record_.changed.notify_all();
    }
    Status stop(BatchProcessor::TimePoint) override {
        const std::lock_guard lock(record_.mutex);
        record_.stopped = true;
        return Done{};
    }

private:
    Record& record_;
    bool hurried_ = false;
};

class BatchProcessorTest : public testing::Test {
protected:
    void start(BatchConfig config) {
        processor_ = std::make_unique<BatchProcessor>(
            std::make_unique<FakeExporter>(record_), config,
            [this](remora_loss reason, uint64_t count) { losses_[reason] += count; });
    }
    void add(size_t count) {
        for (size_t i = 0; i < count; ++i)
            processor_->on_span(test::make_span(1, 1, 0, SpanKind::server, "s", 0, 1, nullptr));
    }

    Record record_;
    std::atomic<uint64_t> losses_[REMORA_LOSS_COUNT] = {};
    std::unique_ptr<BatchProcessor> processor_;
};

constexpr auto never = std::chrono::hours(1);

TEST_F(BatchProcessorTest, AFullBatchLeavesAtOnce) {
    start({.schedule_delay = never, .max_export_batch_size = 4, .max_grown_batch_size = 4});
    add(4);
    record_.wait_for_entry(1);
    EXPECT_TRUE(processor_->force_flush(Clock::now() + 60s));
    EXPECT_THAT(record_.batches, ElementsAre(4));
}

TEST_F(BatchProcessorTest, ALoneSpanLeavesAfterTheDelay) {
    start({.schedule_delay = 1ms, .max_export_batch_size = 512});
    add(1);
    record_.wait_for_entry(1);
}

TEST_F(BatchProcessorTest, FlushSendsWhatIsQueued) {
    start({.schedule_delay = never, .max_export_batch_size = 512});
    EXPECT_TRUE(processor_->force_flush(Clock::now() + 60s));  // nothing to do
    add(3);
    EXPECT_TRUE(processor_->force_flush(Clock::now() + 60s));
    EXPECT_EQ(processor_->counts().exported, 3u);
}

TEST_F(BatchProcessorTest, FlushGivesUpAtItsDeadline) {
    record_.gate_open = false;
    start({.schedule_delay = never, .max_export_batch_size = 1});
    add(1);
    EXPECT_FALSE(processor_->force_flush(Clock::now() + 10ms));
    record_.open_gate();
    EXPECT_TRUE(processor_->force_flush(Clock::now() + 60s));
}

TEST_F(BatchProcessorTest, AGrownQueueLeavesInLargerBatches) {
    record_.gate_open = false;
    start({.schedule_delay = never, .max_export_batch_size = 2, .max_grown_batch_size = 100});
    add(2);
    record_.wait_for_entry(1);
    add(150);
    record_.open_gate();
    processor_->stop(Clock::now() + 60s);
    EXPECT_THAT(record_.batches, ElementsAre(2, 100, 50));
}

TEST_F(BatchProcessorTest, AFixedBatchSizeIsNeverExceeded) {
    record_.gate_open = false;
    start({.schedule_delay = never, .max_export_batch_size = 10, .max_grown_batch_size = 10});
    add(95);
    record_.open_gate();
    processor_->stop(Clock::now() + 60s);
    EXPECT_THAT(record_.batches, Each(Le(10u)));
    EXPECT_EQ(record_.spans, 95u);
}

TEST_F(BatchProcessorTest, AFullQueueDropsTheNewestAndCounts) {
    record_.gate_open = false;
    start({.schedule_delay = never,
           .max_queue_size = 5,
           .max_export_batch_size = 1,
           .max_grown_batch_size = 1});
    add(1);
    record_.wait_for_entry(1);  // on its way, no longer in the queue
    add(8);
    EXPECT_EQ(processor_->counts().dropped, 3u);
    EXPECT_EQ(losses_[REMORA_LOSS_queue_full], 3u);
    record_.open_gate();
    processor_->stop(Clock::now() + 60s);
    EXPECT_EQ(processor_->counts().exported, 6u);
}

TEST_F(BatchProcessorTest, TheQueueIsBoundedInBytesToo) {
    record_.gate_open = false;
    const Span span = test::full_span(nullptr);
    start({.schedule_delay = never,
           .max_queue_bytes = 3 * estimate_bytes(span),
           .max_export_batch_size = 100});
    for (int i = 0; i < 5; ++i) processor_->on_span(span);
    EXPECT_EQ(processor_->counts().dropped, 2u);
    record_.open_gate();
    processor_->stop(Clock::now() + 60s);
    EXPECT_EQ(record_.spans, 3u);
}

TEST_F(BatchProcessorTest, StopSendsTheRestAndStopsTheExporter) {
    start({.schedule_delay = never});
    add(7);
    processor_->stop(Clock::now() + 60s);
    EXPECT_EQ(record_.spans, 7u);
    EXPECT_TRUE(record_.stopped);
    add(1);  // too late
    EXPECT_EQ(processor_->counts().dropped, 1u);
    processor_->stop(Clock::now() + 60s);
}

TEST_F(BatchProcessorTest, StopDropsAndCountsWhatHasNoTime) {
    record_.gate_open = false;
    start({.schedule_delay = never, .max_export_batch_size = 1, .max_grown_batch_size = 1});
    add(1);
    record_.wait_for_entry(1);
    add(4);
    processor_->stop(Clock::now());
    EXPECT_EQ(processor_->counts().failed, 5u);
    EXPECT_EQ(losses_[REMORA_LOSS_export_failed], 5u);
}

TEST_F(BatchProcessorTest, OneThatHangsTakesNoTimeFromTheOthers) {
    Record hanging;
    hanging.gate_open = false;
    const CountLoss ignore = [](remora_loss, uint64_t) {};
    std::vector<std::unique_ptr<BatchProcessor>> both;
    for (Record* record : {&hanging, &record_})
        both.push_back(std::make_unique<BatchProcessor>(
            std::make_unique<FakeExporter>(*record), BatchConfig{.schedule_delay = never}, ignore));
    for (const auto& processor : both)
        processor->on_span(test::make_span(1, 1, 0, SpanKind::server, "s", 0, 1, nullptr));
    std::jthread opener([&] {
        record_.wait_for_entry(1);  // the second one has its turn while the first one hangs
        hanging.open_gate();
    });
    stop_exporters(both, Clock::now() + 60s);
    EXPECT_EQ(record_.spans, 1u);
    EXPECT_EQ(hanging.spans, 1u);
}

TEST_F(BatchProcessorTest, AFailedBatchIsCounted) {
    record_.fails = true;
    start({.schedule_delay = never});
    add(2);
    EXPECT_TRUE(processor_->force_flush(Clock::now() + 60s));
    EXPECT_EQ(processor_->counts().failed, 2u);
    EXPECT_EQ(losses_[REMORA_LOSS_export_failed], 2u);
}

TEST_F(BatchProcessorTest, NoSpanIsLostBetweenThreads) {
    start({.schedule_delay = 1ms, .max_queue_size = 1000000, .max_export_batch_size = 64});
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) threads.emplace_back([&] { add(5000); });
    }
    processor_->stop(Clock::now() + 60s);
    EXPECT_EQ(record_.spans, 20000u);
}

TEST(EstimateBytes, GrowsWithWhatASpanHolds) {
    const Span plain = test::make_span(1, 1, 0, SpanKind::server, "s", 0, 1, nullptr);
    Span large = plain;
    large.attributes.push_back({"k", std::string(1000, 'x')});
    EXPECT_GE(estimate_bytes(large), estimate_bytes(plain) + 1000);
}

}  // namespace
}  // namespace remora
