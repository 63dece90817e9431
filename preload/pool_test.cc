// SPDX-License-Identifier: Apache-2.0
#include "preload/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace remora::shim {
namespace {

struct Item {
    std::atomic<int> users{0};
    char content[40] = {};
};

TEST(Pool, GivesEachIndexOnceUntilItComesBack) {
    static Pool<Item, 4, 3> pool;
    std::set<uint32_t> given;
    for (int i = 0; i < 11; ++i) {
        const uint32_t index = pool.allocate();
        EXPECT_NE(index, 0u);
        EXPECT_TRUE(given.insert(index).second);
    }
    EXPECT_EQ(pool.allocate(), 0u) << "index 0 of the 12 is nobody";
    pool.free(7);
    EXPECT_EQ(pool.allocate(), 7u);
    EXPECT_EQ(pool.allocate(), 0u);
}

TEST(Pool, KeepsWhatItsLastUserLeft) {
    static Pool<Item, 4, 3> pool;
    const uint32_t index = pool.allocate();
    pool.at(index).content[0] = 'x';
    pool.free(index);
    EXPECT_EQ(pool.at(pool.allocate()).content[0], 'x');
}

TEST(Pool, FindsNothingAtAWrongIndex) {
    static Pool<Item, 4, 3> pool;
    EXPECT_EQ(pool.find(1), nullptr) << "no slab yet";
    const uint32_t index = pool.allocate();
    EXPECT_EQ(pool.find(index), &pool.at(index));
    EXPECT_EQ(pool.find(0), nullptr);
    EXPECT_EQ(pool.find(9), nullptr) << "its slab isn't there";
    (void)pool.find(~0u);
}

TEST(Pool, ManyThreadsNeverShareOne) {
    static Pool<Item, 16, 64> pool;
    std::atomic<int> shared{0}, empty{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int round = 0; round < 20'000; ++round) {
                uint32_t mine[3];
                for (uint32_t& index : mine) {
                    index = pool.allocate();
                    if (index == 0) ++empty;
                    if (index != 0 && pool.at(index).users.fetch_add(1) != 0) ++shared;
                }
                for (const uint32_t index : mine) {
                    if (index == 0) continue;
                    pool.at(index).users.fetch_sub(1);
                    pool.free(index);
                }
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(shared, 0);
    EXPECT_EQ(empty, 0);
}

}  // namespace
}  // namespace remora::shim
