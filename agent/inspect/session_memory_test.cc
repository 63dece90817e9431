// SPDX-License-Identifier: Apache-2.0
// The two memory files made as an agent makes them, in this very process, and read back through
// /proc/self/fd; then as a hostile program leaves them.
#include "agent/inspect/session_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "agent/base/unique_fd.h"

namespace remora {
namespace {

constexpr uint32_t lanes = 8;

class SessionMemoryTest : public testing::Test {
protected:
    void SetUp() override {
        lanes_ = UniqueFd(::memfd_create(REMORA_LANES_MEMFD, 0));
        control_ = UniqueFd(::memfd_create(REMORA_CONTROL_MEMFD, 0));
        ASSERT_EQ(::ftruncate(lanes_.get(), off_t{lanes} * REMORA_LANE_BYTES), 0);
        ASSERT_EQ(::ftruncate(control_.get(), REMORA_CONTROL_BYTES), 0);
        page_.magic = REMORA_CONTROL_MAGIC;
        page_.abi_version = REMORA_ABI_VERSION;
        page_.lanes = lanes;
        memcpy(page_.session, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
               16);
        page_.switches = 5;
        page_.heartbeat_ns = 77;
    }
    std::optional<SessionMemory> read() {
        EXPECT_EQ(::pwrite(control_.get(), &page_, sizeof(page_), 0), ssize_t{sizeof(page_)});
        return read_session_memory(::getpid());
    }
    void write_head(uint32_t index, const remora_lane_head& head) {
        ASSERT_EQ(::pwrite(lanes_.get(), &head, sizeof(head), off_t{index} * REMORA_LANE_BYTES),
                  ssize_t{sizeof(head)});
    }
    static remora_lane_head claimed(uint32_t pid) {
        remora_lane_head head{};
        head.owner = REMORA_LANE_OWNER(pid, REMORA_LANE_CLAIMED);
        head.free = REMORA_LANE_ALL_FREE;
        head.process.pid = pid;
        head.process.image = pid;
        return head;
    }

    UniqueFd lanes_, control_;
    remora_control page_{};
};

TEST_F(SessionMemoryTest, OfAnAgentWithoutPrograms) {
    const auto memory = read();
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->id, "00112233445566778899aabbccddeeff");
    EXPECT_EQ(memory->switches, 5u);
    EXPECT_EQ(memory->heartbeat_ns, 77u);
    EXPECT_FALSE(memory->other_version);
    EXPECT_TRUE(memory->owners.empty());
    EXPECT_EQ(memory->lanes_left, lanes);
}

TEST_F(SessionMemoryTest, AddsUpTheLanesOfAProcess) {
    remora_lane_head head = claimed(42);
    head.lost[REMORA_LOSS_ring_full] = 3;
    head.free &= ~uint64_t{0b110};  // two slots taken,
    head.done = 0b010;              // of which one is finished
    strcpy(head.process.service_name, "shop");
    write_head(0, head);
    head.lost[REMORA_LOSS_ring_full] = UINT64_MAX - 1;
    head.free = REMORA_LANE_ALL_FREE;
    write_head(5, head);
    write_head(2, claimed(43));
    remora_lane_head ready = claimed(0);
    ready.owner = REMORA_LANE_OWNER(0, REMORA_LANE_READY);
    write_head(1, ready);
    const auto memory = read();
    ASSERT_TRUE(memory);
    ASSERT_EQ(memory->owners.size(), 2u);
    const LaneOwner& owner = memory->owners[0];
    EXPECT_EQ(owner.process.pid, 42u);
    EXPECT_STREQ(owner.process.service_name, "shop");
    EXPECT_EQ(owner.lanes, 2u);
    EXPECT_EQ(owner.open_exchanges, 1u);
    EXPECT_EQ(owner.lost[REMORA_LOSS_ring_full], UINT64_MAX) << "clipped, not wrapped";
    EXPECT_EQ(memory->owners[1].process.pid, 43u);
    EXPECT_EQ(memory->lanes_left, lanes - 3);
}

TEST_F(SessionMemoryTest, OfAnotherVersionIsKnownAndNotRead) {
    write_head(0, claimed(42));
    page_.abi_version += 1;
    const auto memory = read();
    ASSERT_TRUE(memory);
    EXPECT_TRUE(memory->other_version);
    EXPECT_NE(memory->lanes_inode, 0u);
    EXPECT_TRUE(memory->owners.empty());
}

TEST_F(SessionMemoryTest, NeedsBothFiles) {
    page_.magic ^= 1;
    EXPECT_FALSE(read());
    page_.magic ^= 1;
    EXPECT_TRUE(read());
    lanes_.reset();
    EXPECT_FALSE(read());
    EXPECT_FALSE(read_session_memory(1 << 23));
}

TEST_F(SessionMemoryTest, EndsWithAFileThatIsTooShort) {
    write_head(0, claimed(42));
    write_head(1, claimed(43));
    ASSERT_EQ(::ftruncate(lanes_.get(), REMORA_LANE_BYTES + 100), 0);
    const auto memory = read();
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->owners.size(), 1u);
    ASSERT_EQ(::ftruncate(control_.get(), 10), 0);
    EXPECT_FALSE(read_session_memory(::getpid()));
}

TEST_F(SessionMemoryTest, SurvivesAnyContent) {
    const auto seed = static_cast<unsigned>(std::random_device{}());
    RecordProperty("seed", std::to_string(seed));
    std::printf("seed: %u\n", seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 50; ++round) {
        for (uint32_t index = 0; index < lanes; ++index) {
            remora_lane_head head;
            for (size_t at = 0; at + 8 <= sizeof(head); at += 8) {
                const uint64_t word = random();
                memcpy(reinterpret_cast<char*>(&head) + at, &word, 8);
            }
            head.owner = REMORA_LANE_OWNER(random(), REMORA_LANE_CLAIMED);
            write_head(index, head);
        }
        const auto memory = read();
        ASSERT_TRUE(memory);
        for (const LaneOwner& owner : memory->owners) {
            EXPECT_LE(owner.open_exchanges, lanes * REMORA_SLOTS_PER_LANE);
            for (const char* text : {owner.process.executable, owner.process.command})
                EXPECT_LT(strlen(text), sizeof(owner.process.executable));
            EXPECT_LT(strlen(owner.process.service_name), sizeof(owner.process.service_name));
        }
    }
}

}  // namespace
}  // namespace remora
