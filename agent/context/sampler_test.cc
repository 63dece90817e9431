// SPDX-License-Identifier: Apache-2.0
#include "agent/context/sampler.h"

#include <gtest/gtest.h>

#include <string>

namespace remora {
namespace {

// An id whose low 56 bits are `low`, below a byte that must not matter.
TraceId id_of(uint64_t low) {
    TraceId id;
    memset(id.bytes, 0xff, 9);
    for (int i = 0; i < 7; ++i) id.bytes[15 - i] = static_cast<uint8_t>(low >> (8 * i));
    return id;
}

SpanContext parent_with(uint8_t flags) {
    SpanContext parent;
    parent.trace_id.bytes[0] = 1;
    parent.span_id.bytes[0] = 1;
    parent.flags = flags;
    return parent;
}

bool ratio(const std::string& text, double& out) {
    return parse_ratio({text.data(), text.size()}, out);
}

TEST(Sampler, OfKinds) {
    const SpanContext sampled = parent_with(flag_sampled);
    const SpanContext dropped = parent_with(flag_random);
    const TraceId low = id_of(99), high = id_of(100);
    struct Row {
        remora_sampler kind;
        bool root_low, root_high, under_sampled, under_dropped;
    };
    const Row rows[] = {
        {REMORA_SAMPLER_ALWAYS_ON, true, true, true, true},
        {REMORA_SAMPLER_ALWAYS_OFF, false, false, false, false},
        {REMORA_SAMPLER_RATIO, false, true, true, true},
        {REMORA_SAMPLER_PARENT_ALWAYS_ON, true, true, true, false},
        {REMORA_SAMPLER_PARENT_ALWAYS_OFF, false, false, true, false},
        {REMORA_SAMPLER_PARENT_RATIO, false, true, true, false},
    };
    for (const Row& row : rows) {
        const Sampler sampler{row.kind, 100};
        EXPECT_EQ(sampler.decide(nullptr, low), row.root_low) << row.kind;
        EXPECT_EQ(sampler.decide(nullptr, high), row.root_high) << row.kind;
        EXPECT_EQ(sampler.decide(&sampled, high), row.under_sampled) << row.kind;
        EXPECT_EQ(sampler.decide(&dropped, high), row.under_dropped) << row.kind;
    }
    // The ratio of traceidratio asks the id, whatever the parent says; the parent-based one
    // doesn't.
    EXPECT_FALSE((Sampler{REMORA_SAMPLER_RATIO, 100}.decide(&sampled, low)));
    EXPECT_TRUE((Sampler{REMORA_SAMPLER_PARENT_RATIO, 100}.decide(&sampled, low)));
}

TEST(Sampler, AnInvalidParentIsNone) {
    SpanContext invalid;
    invalid.flags = flag_sampled;
    EXPECT_FALSE((Sampler{REMORA_SAMPLER_PARENT_ALWAYS_OFF, 0}.decide(&invalid, id_of(1))));
    invalid.flags = 0;
    EXPECT_TRUE((Sampler{REMORA_SAMPLER_PARENT_ALWAYS_ON, 0}.decide(&invalid, id_of(1))));
}

TEST(Sampler, AnUnknownKindSamplesNothing) {
    EXPECT_FALSE((Sampler{static_cast<remora_sampler>(7), 0}.decide(nullptr, id_of(1))));
}

TEST(Sampler, NeverIsNever) {
    EXPECT_FALSE((Sampler{REMORA_SAMPLER_RATIO, threshold_never}.decide(
        nullptr, id_of(threshold_never - 1))));
    EXPECT_TRUE((Sampler{REMORA_SAMPLER_RATIO, 0}.decide(nullptr, id_of(0))));
}

TEST(SamplerName, OfTheSpecification) {
    remora_sampler kind{};
    const std::pair<const char*, remora_sampler> names[] = {
        {"always_on", REMORA_SAMPLER_ALWAYS_ON},
        {"always_off", REMORA_SAMPLER_ALWAYS_OFF},
        {"traceidratio", REMORA_SAMPLER_RATIO},
        {"parentbased_always_on", REMORA_SAMPLER_PARENT_ALWAYS_ON},
        {"parentbased_always_off", REMORA_SAMPLER_PARENT_ALWAYS_OFF},
        {"parentbased_traceidratio", REMORA_SAMPLER_PARENT_RATIO},
    };
    for (const auto& [name, expected] : names) {
        ASSERT_TRUE(parse_sampler_name({name, strlen(name)}, kind)) << name;
        EXPECT_EQ(kind, expected);
    }
    EXPECT_TRUE(parse_sampler_name("Always_ON", kind));
    for (const char* name : {"", "always on", "always_on ", "jaeger_remote", "xray"})
        EXPECT_FALSE(parse_sampler_name({name, strlen(name)}, kind)) << name;
}

TEST(Ratio, Reads) {
    const std::pair<const char*, double> good[] = {
        {"0", 0},
        {"1", 1},
        {"0.25", 0.25},
        {"1.0", 1},
        {".5", 0.5},
        {"1.", 1},
        {"1e-3", 0.001},
        {"2.5E-1", 0.25},
        {"0.01e+2", 1},
        {"00.5", 0.5},
        {"1e-400", 0.0},
        {"0.1", 0.1},
        {"0.333333333333333333333333", 1.0 / 3},
    };
    for (const auto& [text, expected] : good) {
        double value = -1;
        ASSERT_TRUE(ratio(text, value)) << text;
        EXPECT_NEAR(value, expected, 1e-15) << text;
    }
}

TEST(Ratio, Refuses) {
    for (const char* text :
         {"", ".", "-0.1", "+0.1", "1.1", "2", "0.5x", " 0.5", "0.5 ", "nan", "inf", "1e", "1e-",
          "0x1", "0,5", "1e400", "1e99999999999", "99999999999999999999"}) {
        double value = 7;
        EXPECT_FALSE(ratio(text, value)) << text;
        EXPECT_EQ(value, 7) << text;
    }
}

TEST(Threshold, OfRatio) {
    EXPECT_EQ(threshold_of_ratio(1), 0u);
    EXPECT_EQ(threshold_of_ratio(2), 0u);
    EXPECT_EQ(threshold_of_ratio(0), threshold_never);
    EXPECT_EQ(threshold_of_ratio(-1), threshold_never);
    EXPECT_EQ(threshold_of_ratio(0.0 / 0.0), threshold_never);
    EXPECT_EQ(threshold_of_ratio(0.5), threshold_never / 2);
    EXPECT_EQ(threshold_of_ratio(0.25), threshold_never / 4 * 3);
    EXPECT_EQ(threshold_of_ratio(0x1p-56), threshold_never - 1);  // the smallest one there is
    EXPECT_EQ(threshold_of_ratio(0x1p-60), threshold_never);
    // "c" and zeroes: the specification's th of 25 %.
    EXPECT_EQ(threshold_of_ratio(0.25), 0xc0000000000000u);
}

}  // namespace
}  // namespace remora
