// SPDX-License-Identifier: Apache-2.0
#include "agent/span/apply_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora {
namespace {

using testing::SizeIs;

std::vector<Attribute> attributes(int count) {
    std::vector<Attribute> made;
    for (int i = 0; i < count; ++i) made.push_back({"key" + std::to_string(i), int64_t{i}});
    return made;
}

TEST(ApplyLimits, TheDefaultsDropWhatIsBeyond128) {
    Span span;
    span.attributes = attributes(130);
    span.events.resize(131);
    span.events[0].attributes = attributes(129);
    span.links.resize(132);
    span.links[1].attributes = attributes(140);
    apply_limits({}, span);
    EXPECT_THAT(span.attributes, SizeIs(128));
    EXPECT_EQ(span.attributes.back().key, "key127");  // the last ones go
    EXPECT_EQ(span.dropped_attributes, 2u);
    EXPECT_THAT(span.events, SizeIs(128));
    EXPECT_EQ(span.dropped_events, 3u);
    EXPECT_EQ(span.events[0].dropped_attributes, 1u);
    EXPECT_THAT(span.links, SizeIs(128));
    EXPECT_EQ(span.dropped_links, 4u);
    EXPECT_EQ(span.links[1].dropped_attributes, 12u);
}

TEST(ApplyLimits, WhatFitsIsLeftAlone) {
    Span span;
    span.attributes = attributes(128);
    span.attributes[0].value = std::string(100000, 'x');
    apply_limits({}, span);
    EXPECT_THAT(span.attributes, SizeIs(128));
    EXPECT_EQ(span.dropped_attributes, 0u);
    EXPECT_THAT(std::get<std::string>(span.attributes[0].value), SizeIs(100000));
}

TEST(ApplyLimits, TextsAreCutAtCharacters) {
    SpanLimits limits;
    limits.attribute_value_length = 3;
    Span span;
    span.name = "untouched";
    span.attributes = {{"umlauts", "\u00e4\u00f6\u00fc\u00df"},
                       {"ascii", "abcdef"},
                       {"short", "\u20ac\u20ac\u20ac"},
                       {"list", std::vector<std::string>{"abcd", "ab"}},
                       {"number", int64_t{123456}}};
    span.events.resize(1);
    span.events[0].attributes = {{"text", "abcdef"}};
    apply_limits(limits, span);
    EXPECT_EQ(span.attributes[0].value, AttributeValue("\u00e4\u00f6\u00fc"));
    EXPECT_EQ(span.attributes[1].value, AttributeValue("abc"));
    EXPECT_EQ(span.attributes[2].value, AttributeValue("\u20ac\u20ac\u20ac"));
    EXPECT_EQ(span.attributes[3].value, AttributeValue(std::vector<std::string>{"abc", "ab"}));
    EXPECT_EQ(span.attributes[4].value, AttributeValue(int64_t{123456}));
    EXPECT_EQ(span.events[0].attributes[0].value, AttributeValue("abc"));
    EXPECT_EQ(span.name, "untouched");
    EXPECT_EQ(span.dropped_attributes, 0u);
}

TEST(ApplyLimits, ZeroIsALimit) {
    SpanLimits limits;
    limits.attribute_value_length = limits.attributes = limits.events = 0;
    Span span;
    span.attributes = attributes(2);
    span.events.resize(1);
    span.links.resize(1);
    span.links[0].attributes = {{"text", "abc"}};
    apply_limits(limits, span);
    EXPECT_THAT(span.attributes, SizeIs(0));
    EXPECT_THAT(span.events, SizeIs(0));
    EXPECT_EQ(span.links[0].attributes[0].value, AttributeValue(""));
    EXPECT_EQ(span.dropped_attributes, 2u);
    EXPECT_EQ(span.dropped_events, 1u);
}

}  // namespace
}  // namespace remora
