// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/clock_watch.h"

#include <gtest/gtest.h>

#include "agent/base/clock.h"

namespace remora {
namespace {

constexpr uint64_t second = 1'000'000'000;
constexpr uint64_t wall = 1'700'000'000 * second;

TEST(ClockWatch, TheFirstLookAlwaysTells) {
    ClockWatch watch;
    const auto first = watch.look(5 * second, wall, 9 * second);
    ASSERT_TRUE(first);
    EXPECT_EQ(wall + second, first->wall(6 * second));
}

TEST(ClockWatch, TellsNothingWhileBothRunAlike) {
    ClockWatch watch;
    watch.look(5 * second, wall, 5 * second);
    for (uint64_t passed = 0; passed < 100; ++passed)
        EXPECT_FALSE(watch.look((5 + passed) * second, wall + passed * second + passed * 1000,
                                (5 + passed) * second + 100));
}

// The monotonic clock stands still while a machine is suspended.
TEST(ClockWatch, TellsWhenTheWallClockJumps) {
    ClockWatch watch;
    watch.look(5 * second, wall, 5 * second);
    const auto later = watch.look(6 * second, wall + 3601 * second, 6 * second);
    ASSERT_TRUE(later);
    EXPECT_EQ(wall + 3602 * second, later->wall(7 * second));
    EXPECT_FALSE(watch.look(8 * second, wall + 3603 * second, 8 * second));
    EXPECT_TRUE(watch.look(9 * second, wall, 9 * second));  // set back
}

TEST(ClockWatch, ALookThatTookLongTellsNothing) {
    ClockWatch watch;
    watch.look(5 * second, wall, 5 * second);
    EXPECT_FALSE(watch.look(6 * second, wall + 2 * second, 7 * second));
}

TEST(ClockWatch, ReadsTheSystemsClocks) {
    ClockWatch watch;
    const auto first = watch.look();
    ASSERT_TRUE(first);
    EXPECT_LE(first->monotonic_ns, monotonic_ns());
    EXPECT_LE(first->realtime_ns, realtime_ns());
}

}  // namespace
}  // namespace remora
