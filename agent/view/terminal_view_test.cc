// SPDX-License-Identifier: Apache-2.0
#include "agent/view/terminal_view.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/view/waterfall.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::make_span;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

Span root(uint8_t trace) { return make_span(trace, 1, 0, SpanKind::server, "GET", 0, 9, nullptr); }
Span child(uint8_t trace) { return make_span(trace, 2, 1, SpanKind::client, "GET", 1, 8, nullptr); }

class LiveTracesTest : public testing::Test {
protected:
    LiveTraces traces_;
    const LiveTraces::TimePoint start_ = LiveTraces::TimePoint(1h);
};

TEST_F(LiveTracesTest, ATraceIsDueWhenItsRootHasSettled) {
    traces_.add(child(1), start_);
    EXPECT_THAT(traces_.take_due(start_ + 5s), IsEmpty());  // its parent still runs
    traces_.add(root(1), start_ + 5s);
    EXPECT_THAT(traces_.take_due(start_ + 5s), IsEmpty());
    EXPECT_EQ(traces_.next_due(), start_ + 5s + LiveTraces::settle);
    const auto due = traces_.take_due(start_ + 5s + LiveTraces::settle);
    ASSERT_THAT(due, SizeIs(1));
    EXPECT_THAT(due[0].spans, SizeIs(2));
    EXPECT_EQ(traces_.next_due(), std::nullopt);
}

TEST_F(LiveTracesTest, ALateSpanStartsTheWaitAgain) {
    traces_.add(root(1), start_);
    traces_.add(child(1), start_ + 100ms);
    EXPECT_THAT(traces_.take_due(start_ + LiveTraces::settle), IsEmpty());
    EXPECT_THAT(traces_.take_due(start_ + 100ms + LiveTraces::settle), SizeIs(1));
}

TEST_F(LiveTracesTest, AMissingParentIsWaitedForByItsKind) {
    Span of_process = child(1);
    of_process.attributes = {{"remora.join", "process"}};
    traces_.add(of_process, start_);
    Span remote = child(2);
    remote.parent_is_remote = true;
    traces_.add(remote, start_);
    traces_.add(child(3), start_);
    EXPECT_THAT(traces_.take_due(start_ + LiveTraces::settle), SizeIs(1));
    EXPECT_THAT(traces_.take_due(start_ + LiveTraces::short_wait), SizeIs(1));
    EXPECT_THAT(traces_.take_due(start_ + LiveTraces::long_wait), SizeIs(1));
}

TEST_F(LiveTracesTest, TheOldestGoesWhenThereAreTooMany) {
    for (size_t i = 0; i <= LiveTraces::traces_limit; ++i) {
        Span span = child(1);
        memcpy(span.trace_id.bytes, &i, sizeof(i));
        traces_.add(span, start_);
    }
    EXPECT_THAT(traces_.take_due(start_), SizeIs(1));
    EXPECT_THAT(traces_.take_all(), SizeIs(LiveTraces::traces_limit));
}

TEST_F(LiveTracesTest, WhatNobodyTakesIsForgottenAndCounted) {
    constexpr size_t count = 3 * LiveTraces::traces_limit;
    for (size_t i = 0; i < count; ++i) {
        Span span = child(1);
        memcpy(span.trace_id.bytes, &i, sizeof(i));
        traces_.add(span, start_);
    }
    EXPECT_EQ(count - 2 * LiveTraces::traces_limit, traces_.take_forgotten());
    EXPECT_EQ(0u, traces_.take_forgotten());
    EXPECT_THAT(traces_.take_all(), SizeIs(2 * LiveTraces::traces_limit));
}

TEST_F(LiveTracesTest, LargeTracesAreForgottenSooner) {
    for (uint8_t trace = 1; trace <= 100; ++trace)
        for (size_t i = 0; i < TraceView::spans_limit; ++i) traces_.add(child(trace), start_);
    const size_t most = LiveTraces::spans_limit / TraceView::spans_limit;
    EXPECT_EQ(100 - most, traces_.take_forgotten());
    EXPECT_THAT(traces_.take_all(), SizeIs(most));
    traces_.add(child(1), start_);
    EXPECT_EQ(0u, traces_.take_forgotten());
}

class TerminalViewTest : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/remora-view-XXXXXX";
        ::close(::mkstemp(name));
        config_.view_file = name;
    }
    void TearDown() override { ::unlink(config_.view_file.c_str()); }
    std::string content() const {
        std::ostringstream text;
        text << std::ifstream(config_.view_file).rdbuf();
        return text.str();
    }
    Config config_;
};

TEST_F(TerminalViewTest, TheWaterfallComesOnceAtTheEnd) {
    config_.view = View::waterfall;
    auto view = make_terminal_view(config_);
    ASSERT_TRUE(view);
    (*view)->on_span(child(1));
    (*view)->on_span(root(1));
    EXPECT_EQ(content(), "");
    (*view)->stop(Clock::now());
    const std::string text = content();
    TraceView expected;
    expected.add(child(1));
    expected.add(root(1));
    EXPECT_EQ(text, render_trace(expected, TerminalStyle{}));
    (*view)->stop(Clock::now());
    EXPECT_EQ(content(), text);
}

TEST_F(TerminalViewTest, SaysThatThereWasNothing) {
    auto view = make_terminal_view(config_);
    ASSERT_TRUE(view);
    (*view)->stop(Clock::now());
    EXPECT_EQ(content(), "remora: no spans were recorded\n");
}

TEST_F(TerminalViewTest, LiveShowsATraceBeforeTheEnd) {
    config_.view = View::live;
    auto view = make_terminal_view(config_);
    ASSERT_TRUE(view);
    (*view)->on_span(child(1));
    (*view)->on_span(root(1));
    while (content().empty()) ::usleep(1000);
    EXPECT_THAT(content(), HasSubstr("trace 01010101010101010101010101010101"));
}

TEST_F(TerminalViewTest, LiveShowsTheRestAtTheEnd) {
    config_.view = View::live;
    auto view = make_terminal_view(config_);
    ASSERT_TRUE(view);
    (*view)->on_span(child(1));
    (*view)->on_span(child(2));
    (*view)->stop(Clock::now());
    EXPECT_THAT(content(), HasSubstr("trace 01010101010101010101010101010101"));
    EXPECT_THAT(content(), HasSubstr("\n\ntrace 02020202020202020202020202020202"));
}

TEST_F(TerminalViewTest, AReaderThatStopsIsNotWaitedForBeyondTheDeadline) {
    const std::string fifo = config_.view_file + ".fifo";
    for (const View kind : {View::live, View::waterfall}) {
        ASSERT_EQ(0, ::mkfifo(fifo.c_str(), 0600));
        const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ::fcntl(reader, F_SETPIPE_SZ, 4096);
        Config config;
        config.view = kind;
        config.view_file = fifo;
        auto view = make_terminal_view(config);
        ::unlink(fifo.c_str());
        ASSERT_TRUE(view);
        for (uint8_t trace = 1; trace < 100; ++trace) (*view)->on_span(root(trace));
        (*view)->stop(Clock::now());
        ::close(reader);
    }
}

TEST_F(TerminalViewTest, NoViewIsNoObjectAndABadFileAnError) {
    config_.view = View::none;
    auto none = make_terminal_view(config_);
    ASSERT_TRUE(none);
    EXPECT_EQ(*none, nullptr);
    config_.view = View::waterfall;
    config_.view_file = "/nowhere/view";
    EXPECT_FALSE(make_terminal_view(config_));
    config_.view_file.clear();
}

}  // namespace
}  // namespace remora
