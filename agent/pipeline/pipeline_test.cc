// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/pipeline.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "agent/ingest/lane_source.h"
#include "tests/support/conversation.h"
#include "tests/support/fake_shim.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(LossCounters, TellsWhatCostSpansAndOnRequestTheRest) {
    LossCounters losses;
    EXPECT_TRUE(losses.lines(true).empty());
    losses.count(REMORA_LOSS_ring_full, 2);
    losses.count(REMORA_LOSS_ring_full, 1);
    losses.count(REMORA_LOSS_parent_unknown, 5);
    losses.count(static_cast<remora_loss>(REMORA_LOSS_COUNT), 9);
    EXPECT_EQ(3u, losses.of(REMORA_LOSS_ring_full));
    ASSERT_EQ(1u, losses.lines(false).size());
    EXPECT_EQ(0u, losses.lines(false)[0].find("3 x no free slot"));
    ASSERT_EQ(2u, losses.lines(true).size());
}

class PipelineTest : public ::testing::Test {
protected:
    void SetUp() override {
        folder = std::filesystem::path(::testing::TempDir()) /
                 ("remora-pipeline-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder);
        config.output = folder / "spans.jsonl";
        config.view = View::none;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    // The names of all spans that were written, sorted.
    std::vector<std::string> names() const {
        std::vector<std::string> found;
        std::ifstream in(config.output);
        for (std::string line; std::getline(in, line);) {
            const auto request = nlohmann::json::parse(line);
            for (const auto& resource : request["resourceSpans"])
                for (const auto& scope : resource["scopeSpans"])
                    for (const auto& span : scope["spans"]) found.push_back(span["name"]);
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    std::filesystem::path folder;
    Config config;
};

TEST_F(PipelineTest, TakesRecordingsFromTheirBytesToSpans) {
    const std::string recording = folder / "recording";
    {
        auto writer = Pipeline::create(config, recording);
        ASSERT_TRUE(writer) << writer.error().text();
        // Through the recorder, too: what it keeps is what came in, not what became of it.
        auto source = ReplaySource::open(std::string(REMORA_SOURCE_DIR) +
                                         "/tests/data/recordings/http-server.recording");
        ASSERT_TRUE(source) << source.error().text();
        ASSERT_TRUE((*writer)->replay(*source));
        (*writer)->stop(Clock::now() + 10s);
        (*writer)->stop(Clock::now() + 10s);
        EXPECT_EQ(2u, (*writer)->exported()->exported);
    }
    EXPECT_EQ((std::vector<std::string>{"GET", "POST"}), names());

    config.output = folder / "again.jsonl";
    auto pipeline = Pipeline::create(config, "");
    ASSERT_TRUE(pipeline);
    auto source = ReplaySource::open(recording);
    ASSERT_TRUE(source);
    const auto counts = (*pipeline)->replay(*source);
    ASSERT_TRUE(counts);
    EXPECT_EQ(7u, counts->records);
    EXPECT_EQ(0u, counts->refused);
    (*pipeline)->stop(Clock::now() + 10s);
    EXPECT_EQ((std::vector<std::string>{"GET", "POST"}), names());
}

TEST_F(PipelineTest, FollowsLanesUntilItIsStopped) {
    auto file = LaneFile::create(8);
    ASSERT_TRUE(file);
    auto page = ControlPage::create({}, file->lanes());
    ASSERT_TRUE(page);
    auto* control = static_cast<const remora_control*>(
        ::mmap(nullptr, REMORA_CONTROL_BYTES, PROT_READ, MAP_SHARED, page->fd(), 0));
    auto created = LaneSource::create(std::move(*file));
    ASSERT_TRUE(created);
    auto pipeline = Pipeline::create(config, "");
    ASSERT_TRUE(pipeline) << pipeline.error().text();
    LaneSource& source = (*pipeline)->follow(std::move(*created), *page);

    test::FakeShim shim{source.file()};
    ASSERT_TRUE(shim.claim(test::a_process(5)));
    for (uint32_t i = 0; i < 500; ++i)
        while (!shim.put(test::an_exchange(5, i), "GET / HTTP/1.1\n", "", "HTTP/1.1 200\n"))
            std::this_thread::yield();
    shim.lose(REMORA_LOSS_ring_full, 3);
    const uint64_t before = monotonic_ns();
    while (__atomic_load_n(&control->heartbeat_ns, __ATOMIC_RELAXED) < before)
        std::this_thread::yield();  // the heart beats
    (*pipeline)->stop(Clock::now() + 10s);
    EXPECT_EQ(0u, control->heartbeat_ns);
    EXPECT_EQ(500u, (*pipeline)->exported()->exported);
    EXPECT_EQ(3u, (*pipeline)->losses().of(REMORA_LOSS_ring_full));
    EXPECT_EQ(500u, names().size());
}

TEST_F(PipelineTest, SaysWhichOutputCanNotBeOpened) {
    config.output = "/no/such/folder/spans.jsonl";
    auto pipeline = Pipeline::create(config, "");
    ASSERT_FALSE(pipeline);
    EXPECT_NE(std::string::npos, pipeline.error().text().find("/no/such/folder/spans.jsonl"));
    config.output.clear();
    auto recording = Pipeline::create(config, "/no/such/folder/recording");
    ASSERT_FALSE(recording);
    EXPECT_NE(std::string::npos, recording.error().text().find("/no/such/folder/recording"));
}

}  // namespace
}  // namespace remora
