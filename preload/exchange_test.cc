// SPDX-License-Identifier: Apache-2.0
// Who finds which open server span: parent rules 1 and 3 stand on this.
#include "preload/exchange.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace remora::shim {
namespace {

TraceId trace_of(uint8_t number) {
    TraceId id{};
    id.bytes[0] = 1;
    id.bytes[15] = number;
    return id;
}

SpanId span_of(uint16_t number) {
    SpanId id{};
    id.bytes[0] = 1;
    id.bytes[6] = static_cast<uint8_t>(number >> 8);
    id.bytes[7] = static_cast<uint8_t>(number);
    return id;
}

// An open server span, listed as decide() does it.
uint32_t open(uint8_t trace, uint16_t span, uint16_t origin) {
    const uint32_t index = allocate_exchange();
    Exchange& exchange = exchange_at(index);
    begin_change(exchange);
    exchange.context = {trace_of(trace), span_of(span), flag_sampled};
    exchange.origin = origin == 0 ? SpanId{} : span_of(origin);
    exchange.decided = true;
    exchange.tracestate = 0;
    exchange.tracestate_size = 0;
    end_change(exchange);
    list_live_span(index);
    return index;
}

void close(uint32_t index) {
    unlist_live_span(index);
    begin_change(exchange_at(index));
    exchange_at(index).decided = false;
    exchange_at(index).context = SpanContext{};
    end_change(exchange_at(index));
    free_exchange(index);
}

TEST(LiveSpans, AreFoundByTheirIdWhileTheyAreOpen) {
    ContextSnapshot found;
    const uint32_t index = open(1, 11, 0);
    EXPECT_EQ(find_live_span(trace_of(1), span_of(11), found), Match::one);
    EXPECT_EQ(found.context.span_id, span_of(11));
    EXPECT_EQ(find_live_span(trace_of(2), span_of(11), found), Match::none) << "of another trace";
    EXPECT_EQ(find_live_span(trace_of(1), span_of(12), found), Match::none);
    close(index);
    EXPECT_EQ(find_live_span(trace_of(1), span_of(11), found), Match::none);
}

TEST(LiveSpans, AreFoundByWhatTheyCameWithIfItIsOne) {
    ContextSnapshot found;
    const uint32_t first = open(1, 11, 77);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::one);
    EXPECT_EQ(found.context.span_id, span_of(11));
    const uint32_t second = open(1, 12, 77);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::several);
    close(first);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::one);
    EXPECT_EQ(found.context.span_id, span_of(12));
    close(second);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::none);
}

// More with one origin than the table has places for: no answer is certain any more.
TEST(LiveSpans, AreUncertainWhenAnOriginFoundNoPlace) {
    ContextSnapshot found;
    std::vector<uint32_t> many;
    for (uint16_t i = 0; i < 40; ++i) many.push_back(open(1, static_cast<uint16_t>(100 + i), 77));
    const uint32_t other = open(2, 50, 78);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::several);
    EXPECT_EQ(find_live_origin(trace_of(2), span_of(78), found), Match::several);
    for (const uint32_t index : many) close(index);
    EXPECT_EQ(find_live_origin(trace_of(2), span_of(78), found), Match::one);
    close(other);
    EXPECT_EQ(find_live_origin(trace_of(2), span_of(78), found), Match::none);
}

// Clients that count their ids up, in either end of them.
TEST(LiveSpans, FindTheirPlacesWhateverTheIdsLookLike) {
    for (const int byte : {0, 7}) {
        std::vector<uint32_t> many;
        unsigned certain = 0;
        for (uint16_t i = 1; i <= 250; ++i) {
            const uint32_t index = open(1, static_cast<uint16_t>(1000 + i), 0);
            unlist_live_span(index);
            exchange_at(index).origin = SpanId{};
            exchange_at(index).origin.bytes[3] = 1;
            exchange_at(index).origin.bytes[byte] = static_cast<uint8_t>(i);
            list_live_span(index);
            many.push_back(index);
        }
        for (const uint32_t index : many) {
            ContextSnapshot found;
            certain +=
                find_live_origin(trace_of(1), exchange_at(index).origin, found) == Match::one;
        }
        EXPECT_EQ(certain, many.size()) << "byte " << byte;
        for (const uint32_t index : many) close(index);
    }
}

TEST(LiveSpans, OfAParentProcessAreForgotten) {
    ContextSnapshot found;
    const uint32_t index = open(1, 11, 77);
    forget_live_spans();
    EXPECT_EQ(find_live_span(trace_of(1), span_of(11), found), Match::none);
    EXPECT_EQ(find_live_origin(trace_of(1), span_of(77), found), Match::none);
    free_exchange(index);
}

TEST(Snapshot, ComesWithTheTracestate) {
    const uint32_t index = open(1, 11, 0);
    Exchange& exchange = exchange_at(index);
    exchange.tracestate = allocate_tracestate();
    memcpy(tracestate_at(exchange.tracestate), "a=1", 3);
    exchange.tracestate_size = 3;
    int me = 0, other = 0;
    exchange.reader = &me;
    ContextSnapshot found;
    ASSERT_TRUE(snapshot_exchange(index, &me, found));
    EXPECT_EQ(std::string(found.tracestate, found.tracestate_size), "a=1");
    EXPECT_FALSE(snapshot_exchange(index, &other, found)) << "somebody else read it";
    begin_change(exchange);
    EXPECT_FALSE(snapshot_exchange(index, &me, found)) << "it is being changed";
    end_change(exchange);
    EXPECT_TRUE(snapshot_exchange(index, &me, found));
    free_tracestate(exchange.tracestate);
    close(index);
    EXPECT_FALSE(snapshot_exchange(index, &me, found)) << "it is over";
}

// Contexts whose halves belong together, looked up while they come and go.
TEST(LiveSpans, AreNeverSeenHalfChanged) {
    std::atomic<bool> stop{false};
    std::atomic<int> mixed{0}, seen{0};
    std::thread owner([&] {
        for (uint16_t round = 1; round < 30'000; ++round)
            close(
                open(static_cast<uint8_t>(round & 1), static_cast<uint16_t>(10 + (round & 1)), 0));
        stop = true;
    });
    while (!stop) {
        for (uint8_t i = 0; i < 2; ++i) {
            ContextSnapshot found;
            const SpanId span = span_of(static_cast<uint16_t>(10 + i));
            if (find_live_span(trace_of(i), span, found) != Match::one) continue;
            ++seen;
            if (found.context.trace_id != trace_of(i) || found.context.span_id != span) ++mixed;
        }
    }
    owner.join();
    EXPECT_EQ(mixed, 0);
}

}  // namespace
}  // namespace remora::shim
