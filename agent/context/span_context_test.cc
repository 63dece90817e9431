// SPDX-License-Identifier: Apache-2.0
// The rules of W3C Trace Context Level 2, one by one.
#include "agent/context/span_context.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

const std::string trace = "0af7651916cd43dd8448eb211c80319c";
const std::string span = "b7ad6b7169203331";
const std::string valid_one = "00-" + trace + "-" + span + "-01";

bool parses(const std::string& text) {
    SpanContext out;
    return parse_traceparent({text.data(), text.size()}, out);
}
SpanContext parsed(const std::string& text) {
    SpanContext out;
    EXPECT_TRUE(parse_traceparent({text.data(), text.size()}, out)) << text;
    return out;
}
bool list(const std::string& text) { return valid_tracestate({text.data(), text.size()}); }

TEST(Traceparent, IsRead) {
    const SpanContext context = parsed(valid_one);
    char hex[33] = {};
    write_hex(context.trace_id.bytes, 16, hex);
    EXPECT_EQ(hex, trace);
    memset(hex, 0, sizeof(hex));
    write_hex(context.span_id.bytes, 8, hex);
    EXPECT_EQ(hex, span);
    EXPECT_EQ(context.flags, flag_sampled);
    EXPECT_TRUE(context.sampled());
    EXPECT_TRUE(context.valid());
}

TEST(Traceparent, IsWrittenAsItWasRead) {
    char out[56] = {};
    out[55] = '!';
    write_traceparent(parsed(valid_one), out);
    EXPECT_EQ(std::string(out, 55), valid_one);
    EXPECT_EQ(out[55], '!');
    EXPECT_EQ(std::string(out + traceparent_span_offset, 16), span);
    EXPECT_EQ(std::string(out + traceparent_flags_offset, 2), "01");
}

TEST(Traceparent, Version00IsExactly55Bytes) {
    EXPECT_FALSE(parses(""));
    for (size_t size = 0; size < 55; ++size)
        EXPECT_FALSE(parses(valid_one.substr(0, size))) << size;
    for (const char* more : {"-", "-x", "0", " ", "-01-what-the-future-brings"})
        EXPECT_FALSE(parses(valid_one + more)) << more;
}

TEST(Traceparent, HigherVersionsAreReadAsFarAsWeKnowThem) {
    for (const std::string version : {"01", "cc", "fe", "0a"}) {
        const std::string text = version + "-" + trace + "-" + span + "-01";
        EXPECT_TRUE(parses(text)) << version;
        EXPECT_TRUE(parses(text + "-")) << version;
        EXPECT_TRUE(parses(text + "-what-the-future-will-be-like")) << version;
        EXPECT_FALSE(parses(text + ".what")) << version;
        EXPECT_FALSE(parses(text + "0")) << version;
        EXPECT_FALSE(parses(text.substr(0, 54))) << version;
    }
    // What we send on is version 00.
    char out[55];
    write_traceparent(parsed("cc-" + trace + "-" + span + "-01-more"), out);
    EXPECT_EQ(std::string(out, 55), valid_one);
}

TEST(Traceparent, VersionFfIsInvalid) {
    EXPECT_FALSE(parses("ff-" + trace + "-" + span + "-01"));
    EXPECT_FALSE(parses("ff-" + trace + "-" + span + "-01-more"));
}

TEST(Traceparent, ZeroIdsAreInvalid) {
    EXPECT_FALSE(parses("00-" + std::string(32, '0') + "-" + span + "-01"));
    EXPECT_FALSE(parses("00-" + trace + "-" + std::string(16, '0') + "-01"));
    EXPECT_TRUE(parses("00-" + std::string(31, '0') + "1-" + std::string(15, '0') + "1-00"));
}

// Any byte but a lower-case hexadecimal digit or the right dash, anywhere, is wrong.
TEST(Traceparent, EveryPlaceIsChecked) {
    for (size_t place = 0; place < 55; ++place) {
        const bool dash = valid_one[place] == '-';
        for (int c = 0; c < 256; ++c) {
            const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            std::string text = valid_one;
            text[place] = static_cast<char>(c);
            EXPECT_EQ(parses(text), dash ? c == '-' : digit) << place << " " << c;
        }
    }
}

TEST(Traceparent, UpperCaseIsInvalid) {
    EXPECT_FALSE(parses("00-" + std::string(31, 'a') + "A-" + span + "-01"));
    EXPECT_FALSE(parses("00-" + trace + "-" + std::string(15, 'a') + "A-01"));
    EXPECT_FALSE(parses("00-" + trace + "-" + span + "-0A"));
    EXPECT_FALSE(parses("0A-" + trace + "-" + span + "-01"));
}

TEST(Traceparent, BlanksAreNotPartOfIt) {
    EXPECT_FALSE(parses(" " + valid_one));
    EXPECT_FALSE(parses(valid_one + " "));
}

TEST(Traceparent, UnknownFlagsAreDropped) {
    EXPECT_EQ(parsed("00-" + trace + "-" + span + "-00").flags, 0);
    EXPECT_EQ(parsed("00-" + trace + "-" + span + "-02").flags, flag_random);
    EXPECT_EQ(parsed("00-" + trace + "-" + span + "-03").flags, flag_random | flag_sampled);
    EXPECT_EQ(parsed("00-" + trace + "-" + span + "-ff").flags, flag_random | flag_sampled);
    EXPECT_EQ(parsed("00-" + trace + "-" + span + "-fc").flags, 0);
}

TEST(Traceparent, AnInvalidOneLeavesTheOutputAlone) {
    SpanContext out = parsed(valid_one);
    const std::string bad = "00-" + trace + "-" + span + "-0x";
    EXPECT_FALSE(parse_traceparent({bad.data(), bad.size()}, out));
    EXPECT_EQ(out.flags, flag_sampled);
    EXPECT_TRUE(out.valid());
}

TEST(Tracestate, EmptyListsAreValid) {
    EXPECT_TRUE(list(""));
    EXPECT_TRUE(list(" \t "));
    EXPECT_TRUE(list(",,"));
    EXPECT_TRUE(list(" , ,"));
}

TEST(Tracestate, Members) {
    EXPECT_TRUE(list("a=1"));
    EXPECT_TRUE(list("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
    EXPECT_TRUE(list("a=1,b=2,,c=3,"));
    EXPECT_TRUE(list(" a=1 ,\tb=2\t"));
    EXPECT_FALSE(list("a"));
    EXPECT_FALSE(list("a="));
    EXPECT_FALSE(list("a= "));
    EXPECT_FALSE(list("=1"));
    EXPECT_FALSE(list("a=1;b=2,c"));
    EXPECT_FALSE(list("a=1=2"));
    EXPECT_FALSE(list("a =1"));
}

TEST(Tracestate, KeysOfLevel2) {
    EXPECT_TRUE(list("a=1"));
    EXPECT_TRUE(list("0=1"));  // Level 2: a digit may come first
    EXPECT_TRUE(list("1a-2f@foo=bar1"));
    EXPECT_TRUE(list("az09_-*/@=1"));
    EXPECT_TRUE(list("a@b@c=1"));  // Level 2 has no limit of one '@'
    EXPECT_TRUE(list("a@=1"));
    for (const char* first : {"_", "-", "*", "/", "@"})
        EXPECT_FALSE(list(std::string(first) + "a=1"));
    for (const char* bad : {"A", "aB", "a.b", "a b", "a:b", "a+b", "\xc3\xa9", "a\tb"})
        EXPECT_FALSE(list(std::string(bad) + "=1")) << bad;
    EXPECT_TRUE(list(std::string(256, 'k') + "=1"));
    EXPECT_FALSE(list(std::string(257, 'k') + "=1"));
}

TEST(Tracestate, Values) {
    std::string all;
    for (char c = 0x21; c <= 0x7e; ++c)
        if (c != ',' && c != '=') all += c;
    EXPECT_TRUE(list("a=" + all));
    EXPECT_TRUE(list("a=x y"));
    EXPECT_TRUE(list("a= x"));
    EXPECT_FALSE(list("a=x\ty"));
    EXPECT_FALSE(list(std::string("a=x\0y", 5)));
    EXPECT_FALSE(list("a=x\x7f"));
    EXPECT_FALSE(list("a=\xc3\xa9"));
    EXPECT_TRUE(list("a=" + std::string(256, 'v')));
    EXPECT_FALSE(list("a=" + std::string(257, 'v')));
}

TEST(Tracestate, NoKeyTwice) {
    EXPECT_FALSE(list("a=1,a=2"));
    EXPECT_FALSE(list("a=1,b=2,a=1"));
    EXPECT_TRUE(list("a=1,ab=1,b=1"));
}

TEST(Tracestate, AtMost32Members) {
    std::string members;
    for (int i = 0; i < 32; ++i) members += (i == 0 ? "" : ",") + ("k" + std::to_string(i)) + "=v";
    EXPECT_TRUE(list(members));
    EXPECT_FALSE(list(members + ",one=more"));
    EXPECT_FALSE(list(members + ","));  // 0*31( OWS "," OWS list-member ), an empty one is one
    EXPECT_TRUE(list(std::string(31, ',')));
    EXPECT_FALSE(list(std::string(32, ',')));
}

}  // namespace
}  // namespace remora
