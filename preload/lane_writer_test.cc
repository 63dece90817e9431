// SPDX-License-Identifier: Apache-2.0
#include "preload/lane_writer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "preload/test_session.h"

namespace remora::shim {
namespace {

SlotRef reserve() { return reserve_slot(monotonic_now()); }
uint64_t state_of(const SlotRef& ref) { return ref.slot()->state; }

TEST(LaneWriter, ReservesAnEmptyOpenSlot) {
    TestSession session(2);
    memset(&session.lane(0).slots, 0xaa, sizeof(session.lane(0).slots));  // the last user's
    const SlotRef ref = reserve();
    ASSERT_TRUE(ref);
    EXPECT_EQ(ref.lane, &session.lane(0));
    EXPECT_EQ(state_of(ref), REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_OPEN));
    EXPECT_EQ(ref.lane->head.free & (uint64_t{1} << ref.index), 0u);
    EXPECT_EQ(ref.slot()->exchange.trace_id[0], 0);
    EXPECT_EQ(ref.slot()->exchange.end_ns, 0u);
    EXPECT_EQ(REMORA_LANE_STATE(ref.lane->head.owner), uint32_t{REMORA_LANE_CLAIMED});
    EXPECT_GT(ref.lane->head.process.claimed_boot_ns, 0u);
    EXPECT_EQ(session.claimed(), 1u);
}

TEST(LaneWriter, HandsOver) {
    TestSession session(1);
    const SlotRef ref = reserve();
    finish_slot(ref);
    EXPECT_EQ(state_of(ref), REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_DONE));
    EXPECT_EQ(ref.lane->head.done, uint64_t{1} << ref.index);
    EXPECT_EQ(ref.lane->head.free & (uint64_t{1} << ref.index), 0u);
    finish_slot(ref);   // too often
    discard_slot(ref);  // and too late
    EXPECT_EQ(state_of(ref), REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_DONE));
}

TEST(LaneWriter, TakesBack) {
    TestSession session(1);
    const SlotRef ref = reserve();
    discard_slot(ref);
    EXPECT_EQ(ref.lane->head.free, REMORA_LANE_ALL_FREE);
    EXPECT_EQ(ref.lane->head.done, 0u);
    EXPECT_EQ(state_of(ref), REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_FREE));
}

TEST(LaneWriter, FreesWhatTheAgentHasTaken) {
    TestSession session(1);
    const SlotRef ref = reserve();
    ref.slot()->state = REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_TAKEN);
    finish_slot(ref);
    EXPECT_EQ(ref.lane->head.done, 0u);
    EXPECT_EQ(ref.lane->head.free, REMORA_LANE_ALL_FREE);
}

TEST(LaneWriter, AStaleHolderTouchesNothing) {
    TestSession session(1);
    const SlotRef stale = reserve();
    discard_slot(stale);
    const SlotRef now = reserve();
    ASSERT_EQ(now.index, stale.index);
    finish_slot(stale);
    discard_slot(stale);
    EXPECT_EQ(state_of(now), REMORA_SLOT_WORD(now.ticket, REMORA_SLOT_OPEN));
    EXPECT_EQ(now.lane->head.done, 0u);
    SlotRef parents = now;  // a forked child's copy
    parents.epoch -= 1;
    finish_slot(parents);
    EXPECT_EQ(state_of(now), REMORA_SLOT_WORD(now.ticket, REMORA_SLOT_OPEN));
    finish_slot(SlotRef{});
    discard_slot(SlotRef{});
}

TEST(LaneWriter, ClaimsMoreLanesAndThenCountsTheLoss) {
    TestSession session(3);
    std::set<const remora_slot*> slots;
    for (unsigned i = 0; i < 3 * REMORA_SLOTS_PER_LANE; ++i) {
        const SlotRef ref = reserve();
        ASSERT_TRUE(ref) << i;
        EXPECT_TRUE(slots.insert(ref.slot()).second) << "given out twice";
    }
    EXPECT_EQ(session.claimed(), 3u);
    EXPECT_FALSE(reserve());
    EXPECT_FALSE(reserve());
    EXPECT_EQ(session.lost(REMORA_LOSS_ring_full), 2u);
    session.lane(1).head.free |= uint64_t{1} << 5;
    const SlotRef ref = reserve();
    ASSERT_TRUE(ref);
    EXPECT_EQ(ref.slot(), &session.lane(1).slots[4]);
}

TEST(LaneWriter, StopsAtItsShareOfLanes) {
    TestSession session(REMORA_LANES_PER_PROCESS + 8);
    for (unsigned i = 0; i < REMORA_LANES_PER_PROCESS * REMORA_SLOTS_PER_LANE; ++i)
        ASSERT_TRUE(reserve()) << i;
    EXPECT_FALSE(reserve());
    EXPECT_EQ(session.claimed(), REMORA_LANES_PER_PROCESS);
}

TEST(LaneWriter, PassesOverLanesOfOthers) {
    TestSession session(4);
    session.lane(0).head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_CLAIMED);
    session.lane(1).head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_CLAIMING);
    session.lane(2).head.owner = 0x1234567890ffu;
    EXPECT_EQ(reserve().lane, &session.lane(3));
}

TEST(LaneWriter, WithoutALaneLossesWait) {
    TestSession session(1);
    session.lane(0).head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_CLAIMED);
    count_loss(REMORA_LOSS_parser_gave_up, 3);
    EXPECT_FALSE(reserve());
    EXPECT_TRUE(losses_undelivered());
    session.offer(0);
    EXPECT_FALSE(reserve()) << "searched again at once";
    ASSERT_TRUE(reserve_slot(monotonic_now() + 100'000'000));
    EXPECT_FALSE(losses_undelivered());
    EXPECT_EQ(session.lost(REMORA_LOSS_parser_gave_up), 3u);
    EXPECT_EQ(session.lost(REMORA_LOSS_no_lane), 2u);
    count_loss(static_cast<remora_loss>(4711));
}

TEST(LaneWriter, NobodyReads) {
    TestSession session(1);
    const uint64_t now = monotonic_now();
    session.control.heartbeat_ns = now - REMORA_HEARTBEAT_LIMIT_NS;
    EXPECT_FALSE(reserve_slot(now));
    EXPECT_TRUE(reserve_slot(now - 1));
    EXPECT_EQ(session.lost(REMORA_LOSS_agent_away), 1u);
}

TEST(LaneWriter, WithoutASessionNothingHappens) {
    EXPECT_FALSE(reserve());
    EXPECT_FALSE(claim_first_lane());
    publish_process_states(REMORA_PROCESS_SERVER);
    publish_exit(1, 1);
    keep_only_held_lanes();
}

TEST(LaneWriter, SurvivesAnyContent) {
    TestSession session(2);
    ASSERT_TRUE(reserve());
    for (const uint64_t noise :
         {~uint64_t{0}, uint64_t{0}, uint64_t{1}, uint64_t{0xaaaaaaaaaaaaaaaa}}) {
        for (int i = 0; i < 200; ++i) {
            session.lane(0).head.free = noise;
            session.lane(0).head.done = noise;
            session.lane(0).head.owner = noise;
            const SlotRef ref = reserve();
            if (!ref) continue;
            EXPECT_GE(ref.index, 1u);
            EXPECT_LE(ref.index, REMORA_SLOTS_PER_LANE);
            ref.slot()->state = noise;
            if (i % 2)
                finish_slot(ref);
            else
                discard_slot(ref);
        }
    }
}

TEST(LaneWriter, TellsOfTheProcess) {
    TestSession session(2);
    EXPECT_TRUE(claim_first_lane());
    EXPECT_TRUE(claim_first_lane());
    EXPECT_EQ(session.claimed(), 1u);
    publish_process_states(REMORA_PROCESS_SERVER);
    EXPECT_TRUE(publish_referenced());
    publish_exit(3, 99);
    const remora_process& process = session.lane(0).head.process;
    EXPECT_EQ(process.states & ~uint32_t{REMORA_PROCESS_FORKED},
              uint32_t{REMORA_PROCESS_SERVER | REMORA_PROCESS_REFERENCED | REMORA_PROCESS_EXITED});
    EXPECT_EQ(process.exit_code, 3);
    EXPECT_EQ(process.end_ns, 99u);
    EXPECT_EQ(session.lane(1).head.process.states, 0u);
}

TEST(LaneWriter, AForkedChildSpeaksInItsParentsLaneOfTheirSpanAlone) {
    TestSession session(2);
    ASSERT_TRUE(claim_first_lane());
    forget_lanes();  // what a forked child does
    publish_process_states(REMORA_PROCESS_SERVER);
    EXPECT_EQ(session.lane(0).head.process.states & REMORA_PROCESS_SERVER, 0u);
    EXPECT_TRUE(publish_referenced());
    EXPECT_NE(session.lane(0).head.process.states & REMORA_PROCESS_REFERENCED, 0u);
    session.lane(0).head.process.image += 1;  // the lane has another owner by now
    EXPECT_FALSE(publish_referenced());
}

TEST(LaneWriter, LockedMemoryKeepsOnlyOurLanes) {
    // In a child: the rest of the lanes is gone for good.
    const pid_t child = ::fork();
    if (child == 0) {
        TestSession session(8);
        session.lane(0).head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_CLAIMED);
        const SlotRef ref = reserve();
        keep_only_held_lanes();
        unsigned char resident[REMORA_LANE_BYTES / 4096];
        bool right = ref.lane == &session.lane(1);
        for (uint32_t i = 1; i < 8; ++i)
            right &= (::mincore(&session.lane(i), REMORA_LANE_BYTES, resident) == 0) == (i == 1);
        finish_slot(ref);
        for (int i = 0; i < 70; ++i) right &= static_cast<bool>(reserve()) == (i < 62);
        ::_exit(right ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

// Threads reserve, fill and finish while an agent takes what is done: each exchange comes once,
// whole.
TEST(LaneWriter, ManyThreads) {
    constexpr unsigned threads = 4, each = 20'000;
    TestSession session(2);
    std::atomic<bool> finished{false};
    std::atomic<uint64_t> sent{0}, given_back{0};
    std::vector<std::thread> writers;
    for (unsigned t = 0; t < threads; ++t)
        writers.emplace_back([&, t] {
            for (unsigned i = 0; i < each; ++i) {
                const SlotRef ref = reserve();
                if (!ref) {
                    std::this_thread::yield();
                    continue;
                }
                if (i % 16 == 0) {
                    discard_slot(ref);
                    ++given_back;
                    continue;
                }
                const uint64_t mark = uint64_t{t} * each + i + 1;
                ref.slot()->exchange.connection = mark;
                ref.slot()->exchange.request_bytes = ~mark;
                memcpy(ref.slot()->payload, &mark, 8);
                ++sent;
                finish_slot(ref);
            }
        });
    std::set<uint64_t> seen;
    uint64_t torn = 0, twice = 0;
    const auto drain = [&] {
        for (uint32_t l = 0; l < 2; ++l) {
            remora_lane& lane = session.lane(l);
            uint64_t done = __atomic_exchange_n(&lane.head.done, 0, __ATOMIC_ACQUIRE);
            for (; done != 0; done &= done - 1) {
                const int index = __builtin_ctzll(done);
                remora_slot& slot = lane.slots[index - 1];
                uint64_t mark;
                memcpy(&mark, slot.payload, 8);
                torn += slot.exchange.connection != mark || slot.exchange.request_bytes != ~mark;
                twice += seen.insert(mark).second ? 0 : 1;
                __atomic_store_n(&slot.state, REMORA_SLOT_WORD(slot.state >> 8, REMORA_SLOT_FREE),
                                 __ATOMIC_RELAXED);
                __atomic_fetch_or(&lane.head.free, uint64_t{1} << index, __ATOMIC_RELEASE);
            }
        }
    };
    std::thread agent([&] {
        while (!finished) {
            __atomic_store_n(&session.control.heartbeat_ns, monotonic_now(), __ATOMIC_RELAXED);
            drain();
        }
    });
    for (std::thread& writer : writers) writer.join();
    finished = true;
    agent.join();
    drain();
    EXPECT_EQ(seen.size(), sent.load());
    EXPECT_EQ(torn, 0u);
    EXPECT_EQ(twice, 0u);
    EXPECT_EQ(sent + given_back + session.lost(REMORA_LOSS_ring_full), uint64_t{threads} * each);
    EXPECT_EQ(session.lane(0).head.free, REMORA_LANE_ALL_FREE);
    EXPECT_EQ(session.lane(1).head.free, REMORA_LANE_ALL_FREE);
}

}  // namespace
}  // namespace remora::shim
