// SPDX-License-Identifier: Apache-2.0
// Recorder and ReplaySource: what goes in comes out, and what a file can do wrong.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "agent/ingest/recorder.h"
#include "agent/ingest/replay_source.h"
#include "tests/support/fake_shim.h"
#include "tests/support/record_log.h"

namespace remora {
namespace {

using test::RecordLog;

class RecordingTest : public ::testing::Test {
protected:
    void SetUp() override {
        path = ::testing::TempDir() + "remora-recording-" + std::to_string(::getpid());
    }
    void TearDown() override { std::filesystem::remove(path); }

    // One of everything.
    void record() {
        auto recorder = Recorder::create(path, passed);
        ASSERT_TRUE(recorder) << recorder.error().text();
        Recorder& sink = **recorder;
        sink.on_clock({1'000'000'000, 1'700'000'000'000'000'000});
        sink.on_process(test::a_process(5));
        const remora_exchange exchange = [] {
            remora_exchange e = test::an_exchange(5, 1);
            e.request_size = 3;
            e.tracestate_size = 2;
            e.response_size = 1;
            return e;
        }();
        sink.on_exchange({exchange, "GET", "ts", "2"});
        remora_open_record open{};
        open.connection = 9;
        open.role = REMORA_ROLE_CLIENT;
        sink.on_open(open);
        remora_data_record data{};
        data.connection = 9;
        data.length = data.size = 5;
        sink.on_data(data, "hello");
        remora_close_record close{};
        close.connection = 9;
        close.end = REMORA_END_PEER;
        sink.on_close(close);
        sink.on_loss(REMORA_LOSS_ring_full, 4);
    }
    [[nodiscard]] std::string bytes() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void rewrite(const std::string& content) const {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    }
    // Fails unless the file opens.
    ReplayCounts replay() {
        auto source = ReplaySource::open(path);
        EXPECT_TRUE(source) << source.error().text();
        if (!source) return {};
        auto counts = source->run(replayed);
        EXPECT_TRUE(counts);
        return counts ? *counts : ReplayCounts{};
    }

    std::string path;
    RecordLog passed;
    RecordLog replayed;
};

TEST_F(RecordingTest, GivesBackWhatPassedThrough) {
    record();
    const ReplayCounts counts = replay();
    EXPECT_EQ(6u, counts.records);
    EXPECT_EQ(0u, counts.refused);
    EXPECT_FALSE(counts.cut);
    EXPECT_EQ("Cpxodc", passed.order);
    EXPECT_EQ("Cpxodc", replayed.order);
    EXPECT_EQ(1'700'000'000'000'000'000u, replayed.clocks[0].realtime_ns);
    EXPECT_EQ(0, memcmp(&passed.processes[0], &replayed.processes[0], sizeof(remora_process)));
    EXPECT_EQ(0, memcmp(&passed.exchanges[0].exchange, &replayed.exchanges[0].exchange,
                        sizeof(remora_exchange)));
    EXPECT_EQ("GET", replayed.exchanges[0].request);
    EXPECT_EQ("ts", replayed.exchanges[0].tracestate);
    EXPECT_EQ("2", replayed.exchanges[0].response);
    EXPECT_EQ(9u, replayed.opens[0].connection);
    EXPECT_EQ("hello", replayed.data[0].second);
    EXPECT_EQ(REMORA_END_PEER, replayed.closes[0].end);
    EXPECT_EQ(4u, replayed.lost(REMORA_LOSS_ring_full));
}

TEST_F(RecordingTest, ManyRecordsSurviveEveryBuffer) {
    {
        auto recorder = Recorder::create(path, passed);
        ASSERT_TRUE(recorder);
        remora_data_record data{};
        const std::string most(REMORA_DATA_MAX, 'x');
        for (uint32_t size = 0; size <= REMORA_DATA_MAX; size += 37) {
            data.length = data.size = size;
            data.position = size;
            (*recorder)->on_data(data, ByteView{most.data(), size});
        }
    }
    const ReplayCounts counts = replay();
    EXPECT_EQ(0u, counts.refused);
    ASSERT_EQ(passed.data.size(), replayed.data.size());
    for (size_t i = 0; i < passed.data.size(); ++i)
        ASSERT_EQ(passed.data[i].second, replayed.data[i].second);
}

TEST_F(RecordingTest, RefusesWhatIsNoRecording) {
    rewrite("GET / HTTP/1.1\r\nHost: example.org\r\n\r\nand so on, long enough for a header");
    EXPECT_FALSE(ReplaySource::open(path));
    rewrite("");
    EXPECT_FALSE(ReplaySource::open(path));
    EXPECT_FALSE(ReplaySource::open(path + "-missing"));
    record();
    std::string content = bytes();
    content[offsetof(remora_hello_record, abi_version)] = 77;
    rewrite(content);
    auto source = ReplaySource::open(path);
    ASSERT_FALSE(source);
    EXPECT_NE(std::string::npos, source.error().message.find("version 77"));
}

TEST_F(RecordingTest, ARecordThatLiesIsLeftOut) {
    record();
    std::string content = bytes();
    const size_t exchange = sizeof(remora_hello_record) + sizeof(remora_process_record);
    remora_exchange_record lying;
    memcpy(&lying, content.data() + exchange, sizeof(lying));
    lying.exchange.request_size = 900;  // more than follows
    memcpy(content.data() + exchange, &lying, sizeof(lying));
    rewrite(content);
    const ReplayCounts counts = replay();
    EXPECT_EQ(5u, counts.records);
    EXPECT_EQ(1u, counts.refused);
    EXPECT_EQ(1u, replayed.lost(REMORA_LOSS_record_invalid));
    EXPECT_EQ("Cpodc", replayed.order);
}

TEST_F(RecordingTest, EndsWhereAFileWasCut) {
    record();
    const std::string whole = bytes();
    for (size_t size = sizeof(remora_hello_record); size < whole.size(); ++size) {
        rewrite(whole.substr(0, size));
        replayed = {};
        const ReplayCounts counts = replay();
        EXPECT_LT(counts.records, 6u);
        EXPECT_EQ(0u, counts.refused);
    }
}

TEST_F(RecordingTest, NoFileCrashesIt) {
    record();
    const std::string whole = bytes();
    const uint64_t seed = std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random{seed};
    for (int round = 0; round < 3000; ++round) {
        std::string spoilt = whole;
        for (uint64_t i = random() % 8 + 1; i > 0; --i)
            spoilt[random() % spoilt.size()] = static_cast<char>(random());
        rewrite(spoilt);
        RecordLog sink;
        if (auto source = ReplaySource::open(path)) (void)source->run(sink);
    }
}

TEST_F(RecordingTest, AFullDiskEndsTheRecordingAndNothingElse) {
    auto recorder = Recorder::create("/dev/full", passed);
    ASSERT_TRUE(recorder);
    for (int i = 0; i < 100; ++i) (*recorder)->on_process(test::a_process(5));
    EXPECT_EQ(100u, passed.processes.size());
}

}  // namespace
}  // namespace remora
