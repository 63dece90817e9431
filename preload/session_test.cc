// SPDX-License-Identifier: Apache-2.0
#include "preload/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include "agent/base/unique_fd.h"

namespace remora::shim {
namespace {

const char* const id_text = "00112233445566778899aabbccddeeff";

TEST(SessionAddress, IsTakenApart) {
    SessionAddress address;
    ASSERT_TRUE(parse_session((std::string("1:4711:3:4:") + id_text).c_str(), address));
    EXPECT_EQ(address.agent_pid, 4711u);
    EXPECT_EQ(address.lanes_fd, 3u);
    EXPECT_EQ(address.control_fd, 4u);
    EXPECT_STREQ(address.id_text, id_text);
    EXPECT_EQ(reinterpret_cast<const uint8_t*>(address.id)[1], 0x11);
    EXPECT_FALSE(address.traceparent_is_ours);
    ASSERT_TRUE(parse_session((std::string("1:4711:3:4:") + id_text + ":t").c_str(), address));
    EXPECT_TRUE(address.traceparent_is_ours);
}

TEST(SessionAddress, RefusesEverythingElse) {
    const std::string good = std::string("1:4711:3:4:") + id_text;
    SessionAddress address;
    EXPECT_FALSE(parse_session(nullptr, address));
    for (size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(parse_session(good.substr(0, size).c_str(), address)) << size;
    for (const std::string& bad :
         {good + "0", good + ":", good + ":x", good + ":tt", "2" + good.substr(1),
          std::string("1:0:3:4:") + id_text, std::string("1:4194304:3:4:") + id_text,
          std::string("1:1:-3:4:") + id_text, std::string("1:99999999999:3:4:") + id_text,
          std::string("1:1:3:4:") + std::string(32, 'A'), "1::::" + std::string(id_text)})
        EXPECT_FALSE(parse_session(bad.c_str(), address)) << bad;
}

// The two files as the agent makes them, in this very process.
class AttachTest : public testing::Test {
protected:
    void SetUp() override {
        lanes_ = UniqueFd(::memfd_create(REMORA_LANES_MEMFD, MFD_ALLOW_SEALING));
        control_ = UniqueFd(::memfd_create(REMORA_CONTROL_MEMFD, MFD_ALLOW_SEALING));
        ASSERT_EQ(::ftruncate(lanes_.get(), 4 * REMORA_LANE_BYTES), 0);
        ASSERT_EQ(::ftruncate(control_.get(), REMORA_CONTROL_BYTES), 0);
        page_.magic = REMORA_CONTROL_MAGIC;
        page_.abi_version = REMORA_ABI_VERSION;
        page_.lanes = 4;
        memcpy(page_.session, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
               16);
    }
    void TearDown() override {
        if (session().active) {
            ::munmap(session().lanes, size_t{session().lane_count} * REMORA_LANE_BYTES);
            ::munmap(const_cast<remora_control*>(session().control), REMORA_CONTROL_BYTES);
        }
        session_storage = Session{};
    }
    void seal(int fd) { ASSERT_EQ(::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0); }
    void seal_both() {
        seal(lanes_.get());
        seal(control_.get());
    }
    bool attach() {
        EXPECT_EQ(::pwrite(control_.get(), &page_, sizeof(page_), 0), ssize_t{sizeof(page_)});
        SessionAddress address;
        const std::string text = "1:" + std::to_string(::getpid()) + ":" +
                                 std::to_string(lanes_.get()) + ":" +
                                 std::to_string(control_.get()) + ":" + id_text;
        EXPECT_TRUE(parse_session(text.c_str(), address));
        const long before = descriptors();
        errno = 4242;
        const bool attached = attach_session(address);
        EXPECT_EQ(errno, 4242);
        EXPECT_EQ(descriptors(), before) << "a descriptor was kept";
        EXPECT_EQ(session().active, attached);
        return attached;
    }
    static long descriptors() {
        const std::filesystem::directory_iterator all("/proc/self/fd"), end;
        return std::distance(all, end);
    }

    UniqueFd lanes_, control_;
    remora_control page_{};
};

TEST_F(AttachTest, Attaches) {
    seal_both();
    ASSERT_TRUE(attach());
    EXPECT_EQ(session().lane_count, 4u);
    session().lanes[3].head.owner = 77;
    uint64_t owner = 0;
    ASSERT_EQ(::pread(lanes_.get(), &owner, 8, 3 * REMORA_LANE_BYTES), 8);
    EXPECT_EQ(owner, 77u);
    EXPECT_EQ(session().control->lanes, 4u);
}

TEST_F(AttachTest, NeedsSealedFiles) {
    seal(lanes_.get());
    EXPECT_FALSE(attach());
    lanes_ = UniqueFd(::memfd_create(REMORA_LANES_MEMFD, MFD_ALLOW_SEALING));
    ASSERT_EQ(::ftruncate(lanes_.get(), 4 * REMORA_LANE_BYTES), 0);
    seal(control_.get());
    EXPECT_FALSE(attach());
}

TEST_F(AttachTest, NeedsTheRightNames) {
    lanes_ = UniqueFd(::memfd_create("something-else", MFD_ALLOW_SEALING));
    ASSERT_EQ(::ftruncate(lanes_.get(), 4 * REMORA_LANE_BYTES), 0);
    seal_both();
    EXPECT_FALSE(attach());
    std::swap(lanes_, control_);
    EXPECT_FALSE(attach());
}

TEST_F(AttachTest, NeedsTheRightPage) {
    seal_both();
    page_.magic ^= 1;
    EXPECT_FALSE(attach());
    page_.magic ^= 1;
    page_.abi_version += 1;
    EXPECT_FALSE(attach());
    page_.abi_version -= 1;
    page_.session[1] ^= 1;
    EXPECT_FALSE(attach());
    page_.session[1] ^= 1;
    page_.lanes = 5;
    EXPECT_FALSE(attach()) << "more lanes than the file has";
    page_.lanes = 4;
    EXPECT_TRUE(attach());
}

TEST_F(AttachTest, IsNotMisledByWhatIsNoMemoryFile) {
    char name[] = "/tmp/remora-session-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    const std::string fifo = std::string(name) + "/memfd:" + REMORA_LANES_MEMFD;
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    lanes_ = UniqueFd(::open(fifo.c_str(), O_RDWR));
    seal(control_.get());
    EXPECT_FALSE(attach());
    std::filesystem::remove_all(name);
}

TEST_F(AttachTest, StaysAwayFromSmallAddressSpaces) {
    seal_both();
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
    const rlimit small{8 * REMORA_LANE_BYTES * 4, before.rlim_max};
    // In a child: this process has long used more than that.
    const pid_t child = ::fork();
    if (child == 0) {
        ::setrlimit(RLIMIT_AS, &small);
        SessionAddress address;
        const std::string text = "1:" + std::to_string(::getppid()) + ":" +
                                 std::to_string(lanes_.get()) + ":" +
                                 std::to_string(control_.get()) + ":" + id_text;
        ::_exit(parse_session(text.c_str(), address) && !attach_session(address) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace remora::shim
