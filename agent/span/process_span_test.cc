// SPDX-License-Identifier: Apache-2.0
#include "agent/span/process_span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "agent/span/span_stage.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

using testing::SizeIs;

constexpr ClockOffset clock_now{.monotonic_ns = 5'000'000,
                                .realtime_ns = 1'700'000'000'000'000'000};

remora_process make_process(uint64_t image = 1) {
    remora_process process = {};
    process.image = image;
    memset(process.trace_id, 1, 16);
    memset(process.span_id, 2, 8);
    process.trace_flags = 1;
    process.start_ns = 1'000'000;
    process.pid = 42;
    process.parent_pid = 7;
    strcpy(process.executable, "/usr/bin/curl");
    memcpy(process.command, "curl\0--secret", 13);
    return process;
}

void end(remora_process& process, int exit_code) {
    process.end_ns = 4'000'000;
    process.states |= REMORA_PROCESS_EXITED;
    process.exit_code = exit_code;
}

AttributeValue value(const Span& span, std::string_view key) {
    const Attribute* found = find_attribute(span.attributes, key);
    return found == nullptr ? AttributeValue("(none)") : found->value;
}

Span build(const remora_process& process) {
    return ProcessSpanBuilder([](remora_loss, uint64_t) {}).build(process, clock_now, nullptr);
}

TEST(ProcessSpan, FollowsTheConventionsForCommands) {
    remora_process process = make_process();
    end(process, 0);
    const Span span = build(process);
    EXPECT_EQ(span.name, "curl");
    EXPECT_EQ(span.kind, SpanKind::internal);
    EXPECT_EQ(span.start_unix_ns, clock_now.wall(1'000'000));
    EXPECT_EQ(span.end_unix_ns, clock_now.wall(4'000'000));
    EXPECT_EQ(value(span, "process.executable.name"), AttributeValue("curl"));
    EXPECT_EQ(value(span, "process.executable.path"), AttributeValue("/usr/bin/curl"));
    EXPECT_EQ(value(span, "process.command"), AttributeValue("curl"));
    EXPECT_EQ(value(span, "process.pid"), AttributeValue(int64_t{42}));
    EXPECT_EQ(value(span, "process.parent_pid"), AttributeValue(int64_t{7}));
    EXPECT_EQ(value(span, "process.exit.code"), AttributeValue(int64_t{0}));
    EXPECT_EQ(span.status, StatusCode::unset);
    EXPECT_FALSE(span.parent_is_remote);
}

TEST(ProcessSpan, AnExitCodeIsAnError) {
    remora_process process = make_process();
    end(process, 22);
    memset(process.parent_id, 3, 8);
    const Span span = build(process);
    EXPECT_EQ(span.status, StatusCode::error);
    EXPECT_EQ(value(span, "error.type"), AttributeValue("22"));
    EXPECT_TRUE(span.parent_is_remote);
}

TEST(ProcessSpan, AnUnknownExitCodeIsNotClaimed) {
    remora_process process = make_process();
    process.end_ns = 4'000'000;
    process.exit_code = 3;
    const Span span = build(process);
    EXPECT_EQ(value(span, "process.exit.code"), AttributeValue("(none)"));
    EXPECT_EQ(span.status, StatusCode::unset);
}

TEST(ProcessSpan, HostileTextsAreMended) {
    remora_process process = make_process();
    memset(process.executable, 0xff, sizeof(process.executable));
    memset(process.command, 'c', sizeof(process.command));
    const Span span = build(process);
    EXPECT_EQ(std::get<std::string>(value(span, "process.command")).size(), 128u);
    EXPECT_EQ(span.name.substr(0, 3), "\xef\xbf\xbd");
    memset(process.executable, 0, sizeof(process.executable));
    memset(process.command, 0, sizeof(process.command));
    EXPECT_EQ(build(process).name, "process");
}

TEST(ProcessSpan, WhichOnesAreExported) {
    remora_process process = make_process();
    EXPECT_TRUE(should_export_process_span(process));
    process.trace_flags = 2;  // not sampled
    EXPECT_FALSE(should_export_process_span(process));
    process.trace_flags = 1;
    process.states = REMORA_PROCESS_SERVER;
    EXPECT_FALSE(should_export_process_span(process));
    process.states = REMORA_PROCESS_SERVER | REMORA_PROCESS_REFERENCED;
    EXPECT_TRUE(should_export_process_span(process));
    process.states = REMORA_PROCESS_FORKED;
    EXPECT_FALSE(should_export_process_span(process));
    process.states = 0;
    memset(process.span_id, 0, 8);
    EXPECT_FALSE(should_export_process_span(process));
}

class CollectSpans : public SpanSink {
public:
    using SpanSink::on_span;
    void on_span(const Span& span) override { spans.push_back(span); }
    std::vector<Span> spans;
};

class SpanStageTest : public testing::Test {
protected:
    SpanStageTest() { stage_.on_clock(clock_now); }
    CollectSpans sink_;
    uint64_t losses_ = 0;
    SpanStage stage_{{}, {}, [this](remora_loss, uint64_t count) { losses_ += count; }, sink_};
};

TEST_F(SpanStageTest, AProcessSpanComesOnceAtTheEnd) {
    remora_process process = make_process();
    stage_.on_process(process);
    EXPECT_THAT(sink_.spans, SizeIs(0));
    end(process, 0);
    stage_.on_process(process);
    stage_.on_process(process);
    ASSERT_THAT(sink_.spans, SizeIs(1));
    EXPECT_EQ(*sink_.spans[0].resource->text("service.name"), "curl");
}

TEST_F(SpanStageTest, AnExchangeGetsTheResourceOfItsImage) {
    stage_.on_process(make_process(9));
    remora_exchange exchange = {};
    memset(exchange.trace_id, 1, 16);
    memset(exchange.span_id, 2, 8);
    exchange.image = 9;
    exchange.start_ns = exchange.end_ns = 2'000'000;
    stage_.on_exchange({exchange, {}, {}, {}});
    exchange.image = 10;
    stage_.on_exchange({exchange, {}, {}, {}});
    ASSERT_THAT(sink_.spans, SizeIs(2));
    EXPECT_EQ(*sink_.spans[0].resource->text("service.name"), "curl");
    EXPECT_EQ(*sink_.spans[1].resource->text("service.name"), "unknown_service");
    EXPECT_EQ(losses_, 0u);
}

TEST_F(SpanStageTest, LossesAreHandedOn) {
    stage_.on_loss(REMORA_LOSS_ring_full, 3);
    EXPECT_EQ(losses_, 3u);
}

}  // namespace
}  // namespace remora
