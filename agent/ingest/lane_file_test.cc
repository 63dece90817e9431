// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/lane_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace remora {
namespace {

uint32_t state_of(const LaneFile& file, uint32_t index) {
    return REMORA_LANE_STATE(__atomic_load_n(&file.lane(index).head.owner, __ATOMIC_ACQUIRE));
}

uint64_t allocated_bytes(const LaneFile& file) {
    struct stat status {};
    ::fstat(file.fd(), &status);
    return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST(LaneFile, IsSealedNamedAndOpenToOtherUsers) {
    auto file = LaneFile::create(8);
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_EQ(8u, file->lanes());
    const int seals = ::fcntl(file->fd(), F_GET_SEALS);
    EXPECT_EQ(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
              seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    EXPECT_NE(0, ::ftruncate(file->fd(), 0));
    struct stat status {};
    ASSERT_EQ(0, ::fstat(file->fd(), &status));
    EXPECT_EQ(0666u, status.st_mode & 0777u);
    EXPECT_EQ(off_t{8} * REMORA_LANE_BYTES, status.st_size);
    EXPECT_TRUE(::fcntl(file->fd(), F_GETFD) & FD_CLOEXEC);
    char target[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(file->fd());
    ASSERT_GT(::readlink(link.c_str(), target, sizeof(target) - 1), 0);
    EXPECT_STREQ("/memfd:remora-lanes (deleted)", target);
}

TEST(LaneFile, GivesALaneItsPagesBeforeItIsReady) {
    auto file = LaneFile::create(8);
    ASSERT_TRUE(file);
    EXPECT_EQ(0u, allocated_bytes(*file));
    EXPECT_EQ(uint32_t{REMORA_LANE_ABSENT}, state_of(*file, 0));
    ASSERT_TRUE(file->offer(0));
    EXPECT_EQ(uint32_t{REMORA_LANE_READY}, state_of(*file, 0));
    EXPECT_GE(allocated_bytes(*file), uint64_t{REMORA_LANE_BYTES});
    EXPECT_EQ(REMORA_LANE_ALL_FREE, file->lane(0).head.free);
}

TEST(LaneFile, TakesBackOnlyLanesThatNobodyHas) {
    auto file = LaneFile::create(2);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->offer(0));
    ASSERT_TRUE(file->offer(1));
    const uint64_t before = allocated_bytes(*file);
    file->lane(1).head.owner = REMORA_LANE_OWNER(42, REMORA_LANE_CLAIMING);
    EXPECT_FALSE(file->withdraw(1));
    EXPECT_TRUE(file->withdraw(0));
    EXPECT_EQ(uint32_t{REMORA_LANE_ABSENT}, state_of(*file, 0));
    EXPECT_LT(allocated_bytes(*file), before - REMORA_LANE_BYTES / 2);
}

TEST(LaneFile, EmptiesALaneForItsNextOwner) {
    auto file = LaneFile::create(1);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->offer(0));
    remora_lane& lane = file->lane(0);
    const uint64_t claims = lane.head.claims;
    lane.head.free = 0;
    lane.head.done = ~uint64_t{0};
    lane.head.lost[3] = 7;
    lane.head.process.pid = 1;
    lane.slots[5].state = REMORA_SLOT_WORD(9, REMORA_SLOT_OPEN);
    file->offer_again(0);
    EXPECT_EQ(REMORA_LANE_ALL_FREE, lane.head.free);
    EXPECT_EQ(0u, lane.head.done);
    EXPECT_EQ(0u, lane.head.lost[3]);
    EXPECT_EQ(0u, lane.head.process.pid);
    EXPECT_EQ(claims + 1, lane.head.claims);
    EXPECT_NE(REMORA_SLOT_WORD(9, REMORA_SLOT_OPEN), lane.slots[5].state);
    EXPECT_EQ(uint64_t{REMORA_SLOT_FREE}, lane.slots[5].state & 0xff);
}

// In a child, because limits can't be raised again: exits 0 when `check` holds.
template <typename Check>
int in_child(rlimit limit, Check check) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setrlimit(RLIMIT_FSIZE, &limit);
        ::_exit(check() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

TEST(LaneFile, FitsIntoTheFileSizeLimit) {
    const rlimit three_lanes{3 * REMORA_LANE_BYTES + 17, 3 * REMORA_LANE_BYTES + 17};
    EXPECT_EQ(0, in_child(three_lanes, [] {
                  auto file = LaneFile::create(512);
                  return file && file->lanes() == 3 && file->offer(2);
              }));
}

TEST(LaneFile, LiftsASoftFileSizeLimitOnlyForItself) {
    const rlimit soft{4096, RLIM_INFINITY};
    EXPECT_EQ(0, in_child(soft, [] {
                  auto file = LaneFile::create(16);
                  rlimit now{};
                  ::getrlimit(RLIMIT_FSIZE, &now);
                  return file && file->lanes() == 16 && now.rlim_cur == 4096;
              }));
}

TEST(LaneFile, SaysSoWhenNotEvenOneLaneFits) {
    EXPECT_EQ(0, in_child({4096, 4096}, [] {
                  auto file = LaneFile::create(512);
                  return !file && file.error().message.find("ulimit -f") != std::string::npos;
              }));
}

}  // namespace
}  // namespace remora
