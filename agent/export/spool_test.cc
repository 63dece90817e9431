// SPDX-License-Identifier: Apache-2.0
#include "agent/export/spool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace remora {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

class SpoolTest : public testing::Test {
protected:
    SpoolTest() {
        char name[] = "/tmp/remora-spool-XXXXXX";
        directory_ = ::mkdtemp(name);
    }
    ~SpoolTest() override { fs::remove_all(directory_); }

    std::unique_ptr<Spool> open(size_t limit = size_t{1} << 20, const char* destination = "here") {
        auto spool =
            Spool::open({directory_, destination, limit}, [this](remora_loss reason, uint64_t n) {
                (reason == REMORA_LOSS_spool_full ? dropped_ : damaged_) += n;
            });
        if (!spool) {
            problem_ = spool.error().text();
            return nullptr;
        }
        return std::move(*spool);
    }
    static std::vector<std::string> replayed(Spool& spool) {
        std::vector<std::string> bodies;
        while (auto body = spool.oldest()) {
            bodies.push_back(body->bytes);
            spool.done();
        }
        return bodies;
    }
    static std::vector<std::string> numbered(int first, int last) {
        std::vector<std::string> bodies;
        for (int i = first; i < last; ++i)
            bodies.push_back("body " + std::to_string(i) + std::string(200, 'x'));
        return bodies;
    }
    std::vector<fs::path> segments() const {
        std::vector<fs::path> found;
        for (const auto& entry : fs::recursive_directory_iterator(directory_))
            if (entry.path().extension() == ".segment") found.push_back(entry.path());
        std::sort(found.begin(), found.end());
        return found;
    }
    static std::string content(const fs::path& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    static void overwrite(const fs::path& path, const std::string& bytes) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    }

    std::string directory_;
    std::string problem_;
    uint64_t dropped_ = 0;
    uint64_t damaged_ = 0;
};

TEST_F(SpoolTest, GivesBackInOrderAndLeavesNothing) {
    auto spool = open();
    EXPECT_TRUE(spool->empty());
    EXPECT_FALSE(spool->oldest());
    for (const std::string& body : numbered(0, 50)) ASSERT_TRUE(spool->append(body, 2));
    EXPECT_EQ(spool->pending().spans, 100u);
    EXPECT_EQ(spool->oldest()->bytes, spool->oldest()->bytes);  // until done()
    EXPECT_THAT(replayed(*spool), ElementsAreArray(numbered(0, 50)));
    EXPECT_TRUE(spool->empty());
    EXPECT_EQ(spool->pending().spans, 0u);
    EXPECT_THAT(segments(), IsEmpty());
    ASSERT_TRUE(spool->append("again", 1));
    EXPECT_THAT(replayed(*spool), ElementsAre("again"));
}

TEST_F(SpoolTest, GoesOnWhereTheLastOneStopped) {
    auto spool = open(64 << 10);  // in segments of 8 KiB
    for (const std::string& body : numbered(0, 100)) ASSERT_TRUE(spool->append(body, 1));
    EXPECT_GT(segments().size(), 1u);
    for (int i = 0; i < 55; ++i) {
        ASSERT_TRUE(spool->oldest());
        spool->done();
    }
    ASSERT_TRUE(spool->oldest());  // not done: given again
    spool.reset();
    spool = open(64 << 10);
    EXPECT_EQ(spool->pending().spans, 45u);
    ASSERT_TRUE(spool->append("last", 1));
    auto expected = numbered(55, 100);
    expected.emplace_back("last");
    EXPECT_THAT(replayed(*spool), ElementsAreArray(expected));
    EXPECT_EQ(damaged_, 0u);
}

// Killed while it appends: whatever it had finished is there, in order, and the rest is not.
TEST_F(SpoolTest, SurvivesKill) {
    int report[2];
    ASSERT_EQ(::pipe(report), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        auto spool = open(64 << 20);
        for (int i = 0;; ++i) {
            if (!spool || !spool->append(std::to_string(i) + " " + std::string(3000, 'b'), 1))
                ::_exit(1);
            [[maybe_unused]] const ssize_t n = ::write(report[1], &i, sizeof(i));
        }
    }
    int last = -1;
    while (last < 500) ASSERT_EQ(::read(report[0], &last, sizeof(last)), ssize_t{sizeof(last)});
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(report[1]);
    for (int more; ::read(report[0], &more, sizeof(more)) > 0;) last = more;
    ::close(report[0]);
    auto spool = open(64 << 20);
    const auto bodies = replayed(*spool);
    ASSERT_GE(bodies.size(), static_cast<size_t>(last) + 1);
    for (size_t i = 0; i < bodies.size(); ++i)
        ASSERT_EQ(bodies[i].substr(0, bodies[i].find(' ')), std::to_string(i));
}

TEST_F(SpoolTest, ADamagedRecordIsSkippedAlone) {
    std::mt19937_64 random(std::random_device{}());
    const auto seed = random();
    SCOPED_TRACE("seed " + std::to_string(seed));
    random.seed(seed);
    const auto bodies = numbered(0, 10);
    {
        auto spool = open();
        for (const std::string& body : bodies) ASSERT_TRUE(spool->append(body, 3));
    }
    const std::string good = content(segments().at(0));
    const size_t record = good.size() / 10;
    for (int round = 0; round < 200; ++round) {
        const size_t at = random() % good.size();
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ static_cast<char>(1 + random() % 255));
        for (const auto& path : segments()) fs::remove(path);
        overwrite(fs::path(directory_) /
                      fs::relative(*fs::directory_iterator(directory_), directory_) /
                      "0000000000000001.segment",
                  bad);
        damaged_ = 0;
        auto spool = open();
        ASSERT_TRUE(spool) << problem_;
        auto expected = bodies;
        expected.erase(expected.begin() + static_cast<long>(at / record));
        ASSERT_THAT(replayed(*spool), ElementsAreArray(expected)) << at;
        EXPECT_GE(damaged_, 1u) << at;
        spool.reset();
        for (const auto& entry : fs::recursive_directory_iterator(directory_))
            if (entry.path().filename() == "cursor") fs::resize_file(entry.path(), 0);
    }
}

TEST_F(SpoolTest, ATornEndIsLeftOut) {
    {
        auto spool = open();
        for (const std::string& body : numbered(0, 3)) ASSERT_TRUE(spool->append(body, 1));
    }
    const fs::path path = segments().at(0);
    const std::string good = content(path);
    for (size_t cut = 1; cut <= good.size() / 3; cut += 7) {
        overwrite(path, good.substr(0, good.size() - cut));
        auto spool = open();
        ASSERT_TRUE(spool) << problem_;
        EXPECT_EQ(spool->pending().spans, 2u) << cut;
        EXPECT_EQ(spool->oldest()->bytes, numbered(0, 1)[0]);
    }
}

TEST_F(SpoolTest, GarbageIsNoSpoolAndNoHarm) {
    { open(); }
    const auto folder = fs::directory_iterator(directory_)->path();
    overwrite(folder / "0000000000000001.segment", std::string(300000, 'g'));
    overwrite(folder / "0000000000000002.segment", "");
    overwrite(folder / "cursor", std::string(24, '\xff'));
    overwrite(folder / "notes.txt", "mine");
    auto spool = open();
    ASSERT_TRUE(spool) << problem_;
    EXPECT_TRUE(spool->empty());
    EXPECT_EQ(damaged_, 1u);
    ASSERT_TRUE(spool->append("x", 1));
    EXPECT_THAT(replayed(*spool), ElementsAre("x"));
    EXPECT_TRUE(fs::exists(folder / "notes.txt"));
}

TEST_F(SpoolTest, TheOldestMakeRoomAndAreCounted) {
    auto spool = open(64 << 10);
    for (const std::string& body : numbered(0, 1000)) ASSERT_TRUE(spool->append(body, 2));
    uint64_t bytes = 0;
    for (const auto& path : segments()) bytes += fs::file_size(path);
    EXPECT_LE(bytes, uint64_t{64} << 10);
    EXPECT_GT(bytes, uint64_t{48} << 10);
    const auto left = replayed(*spool);
    EXPECT_EQ(dropped_, 2 * (1000 - left.size()));
    EXPECT_THAT(left, ElementsAreArray(numbered(1000 - static_cast<int>(left.size()), 1000)));
    EXPECT_FALSE(spool->append(std::string(65 << 10, 'x'), 1));
}

TEST_F(SpoolTest, AgentsShareADirectoryAndTakeOverWhatIsLeft) {
    auto first = open(), second = open(), other = open(1 << 20, "elsewhere");
    ASSERT_TRUE(first && second && other);
    ASSERT_TRUE(first->append("one", 1));
    ASSERT_TRUE(second->append("two", 1));
    ASSERT_TRUE(other->append("not yours", 1));
    second.reset();
    first.reset();
    first = open();
    EXPECT_THAT(replayed(*first), ElementsAre("one", "two"));
}

TEST_F(SpoolTest, ADirectoryThatCannotBeWrittenIsSaid) {
    directory_ += "/missing/deeper";
    EXPECT_FALSE(open());
    EXPECT_THAT(problem_, HasSubstr("No such file"));
    directory_ = "/dev/null";
    EXPECT_FALSE(open());
    EXPECT_THAT(problem_, HasSubstr("/dev/null"));
    directory_ = "/proc";
    EXPECT_FALSE(open());
    directory_ = "/tmp/none";
}

}  // namespace
}  // namespace remora
