// SPDX-License-Identifier: Apache-2.0
#include "agent/context/collector.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora {
namespace {

const std::string valid_one = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Line {
    PropagationField field;
    std::string value;
};
Line parent(std::string value) { return {PropagationField::traceparent, std::move(value)}; }
Line state(std::string value) { return {PropagationField::tracestate, std::move(value)}; }

struct Result {
    bool context, invalid, dropped;
    std::string tracestate;
    unsigned lines;
    bool operator==(const Result& o) const {
        return context == o.context && invalid == o.invalid && dropped == o.dropped &&
               tracestate == o.tracestate && lines == o.lines;
    }
};

Result collect_cut(const std::vector<Line>& lines, size_t piece, size_t capacity) {
    std::vector<char> storage(capacity);
    ContextCollector collector;
    collector.start(capacity == 0 ? nullptr : storage.data(), capacity);
    for (const Line& line : lines) {
        size_t at = 0;
        do {
            const size_t size = std::min(piece, line.value.size() - at);
            const std::string copy = line.value.substr(at, size);
            collector.add(line.field, {copy.data(), size}, at == 0, at + size == line.value.size());
            at += size;
        } while (at < line.value.size());
    }
    SpanContext context;
    const ByteView list = collector.tracestate();
    return {collector.context(context), collector.invalid(), collector.tracestate_dropped(),
            list.empty() ? "" : std::string(list.chars(), list.size),
            collector.traceparent_lines()};
}

// However the lines are cut, the result is the same.
Result collect(const std::vector<Line>& lines, size_t capacity = 512) {
    const Result whole = collect_cut(lines, SIZE_MAX, capacity);
    for (const size_t piece : {1, 2, 3, 7, 54, 55})
        EXPECT_EQ(collect_cut(lines, piece, capacity), whole);
    return whole;
}

TEST(PropagationFieldName, InAnyCase) {
    EXPECT_EQ(propagation_field("traceparent"), PropagationField::traceparent);
    EXPECT_EQ(propagation_field("TraceParent"), PropagationField::traceparent);
    EXPECT_EQ(propagation_field("TRACESTATE"), PropagationField::tracestate);
    for (const char* name :
         {"", "traceparen", "traceparents", "trace-parent", "tracestat", "xracestate"})
        EXPECT_EQ(propagation_field({name, strlen(name)}), PropagationField::none) << name;
}

TEST(Collector, NothingSeen) {
    const Result result = collect({});
    EXPECT_FALSE(result.context);
    EXPECT_FALSE(result.invalid);
    EXPECT_FALSE(result.dropped);
    EXPECT_EQ(result.lines, 0u);
}

TEST(Collector, OneValidLine) {
    const Result result = collect({parent(valid_one)});
    EXPECT_TRUE(result.context);
    EXPECT_FALSE(result.invalid);
    EXPECT_EQ(result.lines, 1u);
}

TEST(Collector, BlanksAroundTheValueAreNotPartOfIt) {
    for (const char* before : {"", " ", "\t \t", "                                    "})
        for (const char* after : {"", " ", " \t", "                                     "})
            EXPECT_TRUE(collect({parent(before + valid_one + after)}).context);
    // But those inside are, and nothing is cut off that would make it valid.
    EXPECT_FALSE(collect({parent(valid_one + " x")}).context);
    EXPECT_FALSE(collect({parent("00 " + valid_one.substr(3))}).context);
    EXPECT_FALSE(collect({parent(valid_one + std::string(300, ' ') + "x")}).context);
}

TEST(Collector, LongValues) {
    EXPECT_FALSE(collect({parent(valid_one + "-" + std::string(100000, 'x'))}).context);
    const std::string later = "cc" + valid_one.substr(2);
    EXPECT_TRUE(collect({parent(later + "-" + std::string(100000, 'x'))}).context);
    EXPECT_TRUE(collect({parent(later + "-" + std::string(500, ' ') + "x")}).context);
    EXPECT_FALSE(collect({parent(later + std::string(100000, 'x'))}).context);
}

TEST(Collector, SeveralLinesAreInvalid) {
    const Result result = collect({parent(valid_one), parent(valid_one)});
    EXPECT_FALSE(result.context);
    EXPECT_TRUE(result.invalid);
    EXPECT_EQ(result.lines, 2u);
    EXPECT_TRUE(collect({parent(""), parent(valid_one)}).invalid);
    EXPECT_TRUE(collect({parent(valid_one), parent("")}).invalid);
    EXPECT_EQ(collect(std::vector<Line>(300, parent(valid_one))).lines, 255u);  // no wrap to 1
}

TEST(Collector, InvalidLine) {
    for (const char* value : {"", "x", "00-0-0-0", "ff"}) {
        const Result result = collect({parent(value)});
        EXPECT_FALSE(result.context) << value;
        EXPECT_TRUE(result.invalid) << value;
    }
}

TEST(Collector, TracestateLinesCombineInOrder) {
    EXPECT_EQ(collect({parent(valid_one), state("a=1"), state("b=2,c=3")}).tracestate,
              "a=1,b=2,c=3");
    EXPECT_EQ(collect({state("a=1"), parent(valid_one), state("b=2")}).tracestate, "a=1,b=2");
    EXPECT_EQ(collect({parent(valid_one), state("  a=1\t "), state("\tb=2 ")}).tracestate,
              "a=1,b=2");
    EXPECT_EQ(collect({parent(valid_one), state("a=x y")}).tracestate, "a=x y");
}

TEST(Collector, EmptyTracestateIsNotDropped) {
    for (const char* value : {"", " ", ",", " , ,"}) {
        const Result result = collect({parent(valid_one), state(value)});
        EXPECT_EQ(result.tracestate, "") << value;
        EXPECT_FALSE(result.dropped) << value;
    }
    EXPECT_EQ(collect({parent(valid_one), state(""), state("a=1"), state("")}).tracestate, ",a=1,");
}

TEST(Collector, TracestateIsDroppedAsAWhole) {
    for (const char* bad : {"a", "a=1,a=2", "A=1", "a=1,b=\x01"}) {
        const Result result = collect({parent(valid_one), state("good=1"), state(bad)});
        EXPECT_EQ(result.tracestate, "") << bad;
        EXPECT_TRUE(result.dropped) << bad;
    }
    // A key twice, on two lines.
    EXPECT_TRUE(collect({parent(valid_one), state("a=1"), state("a=2")}).dropped);
    std::vector<Line> lines{parent(valid_one)};
    for (int i = 0; i < 32; ++i) lines.push_back(state("k" + std::to_string(i) + "=v"));
    EXPECT_FALSE(collect(lines).dropped);
    lines.push_back(state("k=v"));
    EXPECT_TRUE(collect(lines).dropped);
}

TEST(Collector, TracestateWithoutAValidTraceparentIsNothing) {
    for (const std::vector<Line>& lines : {std::vector<Line>{state("a=1")},
                                           {parent("x"), state("a=1")},
                                           {parent(valid_one), parent(valid_one), state("a=1")}}) {
        const Result result = collect(lines);
        EXPECT_EQ(result.tracestate, "");
        EXPECT_FALSE(result.dropped);
    }
}

TEST(Collector, TracestateThatDoesNotFitIsDropped) {
    const std::string list512 = "a=" + std::string(253, 'x') + ",b=" + std::string(254, 'x');
    ASSERT_EQ(list512.size(), 512u);
    EXPECT_EQ(collect({parent(valid_one), state(list512)}).tracestate, list512);
    EXPECT_EQ(collect({parent(valid_one), state("  " + list512 + "   ")}).tracestate, list512);
    const Result result = collect({parent(valid_one), state(list512 + "x")});
    EXPECT_EQ(result.tracestate, "");
    EXPECT_TRUE(result.dropped);
    EXPECT_TRUE(collect({parent(valid_one), state(list512), state("c=1")}).dropped);
    EXPECT_TRUE(collect({parent(valid_one), state("a=1")}, 0).dropped);  // no storage
}

TEST(Collector, StartsOver) {
    char storage[64];
    ContextCollector collector;
    collector.start(storage, sizeof(storage));
    collector.add(PropagationField::traceparent, "bad", true, true);
    collector.add(PropagationField::tracestate, "a=1", true, true);
    collector.start(storage, sizeof(storage));
    EXPECT_FALSE(collector.saw_traceparent());
    collector.add(PropagationField::traceparent, {valid_one.data(), valid_one.size()}, true, true);
    SpanContext context;
    EXPECT_TRUE(collector.context(context));
    EXPECT_TRUE(collector.tracestate().empty());
}

}  // namespace
}  // namespace remora
