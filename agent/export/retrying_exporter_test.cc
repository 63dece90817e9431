// SPDX-License-Identifier: Apache-2.0
// The exporter with a spool, against a destination of the test's.
#include "agent/export/retrying_exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/export/batch_processor.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;
using Outcome = Attempt::Outcome;

// Outlives its sender.
struct Destination {
    std::mutex mutex;
    std::condition_variable changed;
    Outcome outcome = Outcome::delivered;
    std::vector<std::string> tried, delivered;

    void set(Outcome now) {
        const std::lock_guard lock(mutex);
        outcome = now;
    }
    void wait_for_tries(size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return tried.size() >= count; });
    }
    void wait_for_deliveries(size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return delivered.size() >= count; });
    }
};

class FakeSender : public SpanSender {
public:
    explicit FakeSender(Destination& destination) : destination_(destination) {}
    std::string encode(const std::vector<Span>& batch) const override { return batch[0].name; }
    Attempt send(const std::string& body, size_t, TimePoint) override {
        const std::lock_guard lock(destination_.mutex);
        Attempt attempt;
        attempt.outcome = destination_.outcome;
        attempt.unreachable = attempt.outcome == Outcome::again;
        attempt.why = "nobody is there";
        destination_.tried.push_back(body);
        if (attempt.outcome == Outcome::delivered) destination_.delivered.push_back(body);
        destination_.changed.notify_all();
        return attempt;
    }
    void limit(TimePoint) noexcept override {}

private:
    Destination& destination_;
};

class SpoolingTest : public testing::Test {
protected:
    SpoolingTest() {
        char name[] = "/tmp/remora-spooling-XXXXXX";
        spool_.directory = ::mkdtemp(name);
    }
    ~SpoolingTest() override { std::filesystem::remove_all(spool_.directory); }

    std::unique_ptr<RetryingExporter> make() {
        const CountLoss count = [this](remora_loss, uint64_t spans) { lost_ += spans; };
        auto spool = open_spool(spool_, "test", count);
        RetryOptions options;
        options.what = "export";
        options.log = [this](FailureLog::Level, const std::string& line) {
            lines_.push_back(line);
        };
        return std::make_unique<RetryingExporter>(std::make_unique<FakeSender>(destination_),
                                                  options, count, std::move(*spool));
    }
    static std::vector<Span> batch(const std::string& name) {
        return {test::make_span(1, 2, 0, SpanKind::server, name, 0, 1, nullptr)};
    }
    static Delivery send(RetryingExporter& exporter, const std::string& name) {
        return *exporter.export_spans(batch(name), Clock::now() + 60s);
    }

    Destination destination_;
    SpoolConfig spool_;
    std::vector<std::string> lines_;
    std::atomic<uint64_t> lost_ = 0;
};

TEST_F(SpoolingTest, WhatFailsIsKeptAndComesInOrderWhenTheDestinationIsBack) {
    auto exporter = make();
    EXPECT_EQ(send(*exporter, "a"), Delivery::sent);
    destination_.set(Outcome::again);
    EXPECT_EQ(send(*exporter, "b"), Delivery::spooled);
    EXPECT_EQ(send(*exporter, "c"), Delivery::spooled);  // not tried: b comes first
    EXPECT_EQ(send(*exporter, "d"), Delivery::spooled);
    {
        const std::lock_guard lock(destination_.mutex);
        EXPECT_THAT(destination_.tried, Not(AnyOf(Contains("c"), Contains("d"))));
    }
    destination_.set(Outcome::delivered);
    destination_.wait_for_deliveries(4);
    (void)exporter->stop(Clock::now());
    EXPECT_THAT(destination_.delivered, ElementsAre("a", "b", "c", "d"));
    ExportCounts counts;
    exporter->add_counts(counts);
    EXPECT_EQ(counts.exported, 3u);
    EXPECT_EQ(counts.spool_spans, 0u);
    ASSERT_THAT(lines_, SizeIs(2));
    EXPECT_THAT(lines_[0], HasSubstr("nobody is there; spans are kept in " + spool_.directory));
    EXPECT_THAT(lines_[1], HasSubstr("works again"));
    EXPECT_EQ(lost_, 0u);
}

TEST_F(SpoolingTest, TheNextAgentSendsWhatThisOneCouldNot) {
    destination_.set(Outcome::again);
    auto exporter = make();
    send(*exporter, "a");
    send(*exporter, "b");
    destination_.wait_for_tries(2);  // by the batch itself and by the replay
    const auto begin = Clock::now();
    exporter->hurry(Clock::now() + 60s);
    (void)exporter->stop(Clock::now() + 60s);
    EXPECT_LT(Clock::now() - begin, 30s);  // it doesn't wait for who isn't there
    exporter.reset();
    EXPECT_THAT(destination_.delivered, IsEmpty());
    destination_.set(Outcome::delivered);
    exporter = make();
    destination_.wait_for_deliveries(2);
    EXPECT_THAT(destination_.delivered, ElementsAre("a", "b"));
    EXPECT_EQ(lost_, 0u);
}

TEST_F(SpoolingTest, WhatIsRefusedForGoodDoesNotHoldUpTheRest) {
    destination_.set(Outcome::again);
    auto exporter = make();
    send(*exporter, "a");
    send(*exporter, "b");
    destination_.set(Outcome::failed);
    destination_.wait_for_tries(3);
    destination_.set(Outcome::delivered);
    send(*exporter, "c");
    destination_.wait_for_deliveries(1);
    (void)exporter->stop(Clock::now());
    EXPECT_EQ(destination_.delivered.back(), "c");
    EXPECT_EQ(lost_ + destination_.delivered.size(), 3u);
}

TEST_F(SpoolingTest, WhatIsStillQueuedAtTheDeadlineIsKept) {
    destination_.set(Outcome::again);
    BatchConfig batches;
    batches.schedule_delay = 1h;
    batches.max_grown_batch_size = batches.max_export_batch_size = 1000;
    BatchProcessor processor(make(), batches, [this](remora_loss, uint64_t n) { lost_ += n; });
    for (int i = 0; i < 50; ++i) processor.on_span(batch("x")[0]);
    processor.stop(Clock::now() - 1s);
    EXPECT_EQ(processor.counts().spooled, 50u);
    EXPECT_EQ(processor.counts().spool_spans, 50u);
    EXPECT_EQ(lost_, 0u);
}

}  // namespace
}  // namespace remora
