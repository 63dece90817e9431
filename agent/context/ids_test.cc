// SPDX-License-Identifier: Apache-2.0
#include "agent/context/ids.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace remora {
namespace {

TEST(Hex, WritesLowerCase) {
    const uint8_t bytes[] = {0x00, 0x9f, 0xab, 0xff};
    char out[9] = "xxxxxxxx";
    write_hex(bytes, 4, out);
    EXPECT_STREQ(out, "009fabff");
}

TEST(Hex, ReadsWhatItWrites) {
    uint8_t bytes[4] = {};
    ASSERT_TRUE(read_hex("009fabff", bytes, 4));
    EXPECT_EQ(bytes[0], 0x00);
    EXPECT_EQ(bytes[1], 0x9f);
    EXPECT_EQ(bytes[2], 0xab);
    EXPECT_EQ(bytes[3], 0xff);
}

TEST(Hex, RefusesEverythingElse) {
    for (int c = 0; c < 256; ++c) {
        const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        for (const size_t place : {0, 1}) {
            char text[2] = {'1', '1'};
            text[place] = static_cast<char>(c);
            uint8_t byte = 0;
            EXPECT_EQ(read_hex({text, 2}, &byte, 1), digit) << c;
        }
    }
    uint8_t bytes[2] = {};
    EXPECT_FALSE(read_hex("123", bytes, 2));
    EXPECT_FALSE(read_hex("12345", bytes, 2));
    EXPECT_FALSE(read_hex("", bytes, 1));
}

TEST(Ids, ZeroIsInvalid) {
    TraceId trace;
    EXPECT_FALSE(trace.valid());
    for (int i = 0; i < 16; ++i) {
        TraceId one;
        one.bytes[i] = 1;
        EXPECT_TRUE(one.valid()) << i;
        EXPECT_FALSE(one == trace) << i;
    }
    SpanId span;
    EXPECT_FALSE(span.valid());
    span.bytes[7] = 1;
    EXPECT_TRUE(span.valid());
    EXPECT_NE(span.key(), 0u);
}

// The first outputs of the reference implementation (prng.di.unimi.it/xoshiro256starstar.c) from
// the state 1, 2, 3, 4.
TEST(IdGenerator, IsXoshiro256StarStar) {
    IdGenerator ids;
    ids.seed({1, 2, 3, 4});
    EXPECT_EQ(ids.next(), 11520u);
    EXPECT_EQ(ids.next(), 0u);
    EXPECT_EQ(ids.next(), 1509978240u);
    EXPECT_EQ(ids.next(), 1215971899390074240u);
}

TEST(IdGenerator, NeverGivesAZeroId) {
    IdGenerator ids;
    ids.seed({1, 2, 3, 4});
    ids.next();
    EXPECT_TRUE(ids.span_id().valid());  // the second output is 0
}

TEST(IdGenerator, AZeroSeedIsMended) {
    IdGenerator ids;
    EXPECT_FALSE(ids.seeded());
    ids.seed({0, 0, 0, 0});
    EXPECT_TRUE(ids.seeded());
    std::set<uint64_t> drawn;
    for (int i = 0; i < 100; ++i) drawn.insert(ids.span_id().key());
    EXPECT_EQ(drawn.size(), 100u);
}

TEST(IdGenerator, DifferentSeedsGiveDifferentIds) {
    IdGenerator a, b;
    a.seed({1, 2, 3, 4});
    b.seed({1, 2, 3, 5});
    for (int i = 0; i < 8; ++i) a.next(), b.next();
    EXPECT_FALSE(a.trace_id() == b.trace_id());
}

// Every bit of an id is drawn: over many ids each one is sometimes set and sometimes not.
TEST(IdGenerator, AllBitsAreRandom) {
    IdGenerator ids;
    ids.seed({5, 6, 7, 8});
    uint8_t all[16], any[16] = {};
    memset(all, 0xff, sizeof(all));
    for (int i = 0; i < 200; ++i) {
        const TraceId id = ids.trace_id();
        for (int k = 0; k < 16; ++k) {
            all[k] &= id.bytes[k];
            any[k] |= id.bytes[k];
        }
    }
    for (int k = 0; k < 16; ++k) {
        EXPECT_EQ(all[k], 0) << k;
        EXPECT_EQ(any[k], 0xff) << k;
    }
}

}  // namespace
}  // namespace remora
