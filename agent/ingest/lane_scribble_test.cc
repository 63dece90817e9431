// SPDX-License-Identifier: Apache-2.0
// A hostile target: a thread writes at random over the whole shared memory while the agent reads.
// Nothing to compare with: the agent must neither crash (run it under ASan), nor hang, nor hand on
// a record that breaks its promises, nor hold more than there are lanes.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <thread>

#include "agent/ingest/lane_source.h"
#include "tests/support/fake_shim.h"

namespace remora {
namespace {

class CheckingSink : public RecordSink {
public:
    void on_clock(const ClockOffset&) override {}
    void on_process(const remora_process& process) override {
        ++(process.end_ns == 0 ? begun : ended);
        touch(process.executable);
        touch(process.command);
        touch(process.service_name);
        touch(process.attributes);
    }
    void on_exchange(const ExchangeView& view) override {
        ++exchanges;
        const remora_exchange& e = view.exchange;
        EXPECT_LE(view.request.size + view.tracestate.size + view.response.size,
                  size_t{REMORA_PAYLOAD_MAX});
        for (const ByteView part : {view.request, view.tracestate, view.response})
            for (size_t i = 0; i < part.size; ++i) sum += part[i];
        EXPECT_TRUE(e.role == REMORA_ROLE_CLIENT || e.role == REMORA_ROLE_SERVER);
        EXPECT_LE(e.join, REMORA_JOIN_PROGRAM);
        EXPECT_GE(e.end, REMORA_END_COMPLETE);
        EXPECT_LE(e.end, REMORA_END_UNFOLLOWED);
        EXPECT_GE(e.end_ns, e.start_ns);
        EXPECT_LT(strlen(e.protocol), sizeof(e.protocol));
    }
    void on_open(const remora_open_record&) override {}
    void on_data(const remora_data_record&, ByteView) override {}
    void on_close(const remora_close_record&) override {}
    void on_loss(remora_loss reason, uint64_t) override { EXPECT_LT(reason, REMORA_LOSS_COUNT); }

    uint64_t begun = 0;
    uint64_t ended = 0;
    uint64_t exchanges = 0;
    uint64_t sum = 0;

private:
    template <size_t N>
    void touch(const char (&text)[N]) {
        EXPECT_LT(strlen(text), N);
        sum += strlen(text);
    }
};

// Noise mostly, but often enough something that leads further in: a claim, a finished slot.
void scribble(const LaneFile& file, uint64_t seed, const std::atomic<bool>& stop) {
    std::mt19937_64 random{seed};
    const size_t words = size_t{file.lanes()} * REMORA_LANE_BYTES / 8;
    auto* memory = reinterpret_cast<uint64_t*>(&file.lane(0));
    const auto store = [](uint64_t& at, uint64_t value) {
        __atomic_store_n(&at, value, __ATOMIC_RELAXED);
    };
    while (!stop.load(std::memory_order_relaxed)) {
        remora_lane& lane = file.lane(static_cast<uint32_t>(random() % file.lanes()));
        remora_slot& slot = lane.slots[random() % REMORA_SLOTS_PER_LANE];
        switch (random() % 8) {
            case 0: store(lane.head.owner, random()); break;
            case 1: store(lane.head.owner, REMORA_LANE_OWNER(random() % 1000, random() % 5)); break;
            case 2: store(lane.head.done, random()); break;
            case 3: store(lane.head.free, random()); break;
            case 4: store(slot.state, random() % 4 | random() << 8); break;
            case 5: {
                const remora_exchange good =
                    test::an_exchange(lane.head.process.image, static_cast<uint32_t>(random()));
                memcpy(&slot.exchange, &good, sizeof(good));
                slot.exchange.request_size = static_cast<uint16_t>(random() % 1200);
                slot.exchange.response_size = static_cast<uint16_t>(random() % 1200);
                store(slot.state, REMORA_SLOT_DONE);
                store(lane.head.done, UINT64_MAX);
                break;
            }
            default: store(memory[random() % words], random() >> random() % 64); break;
        }
    }
}

TEST(LaneScribble, NothingThatATargetWritesHurts) {
    const uint64_t seed = std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    auto file = LaneFile::create(16);
    ASSERT_TRUE(file);
    auto created = LaneSource::create(
        std::move(*file),
        {.ready_lanes = 4, .idle_limit_ns = 1'000'000, .sweep_interval_ns = 1'000'000});
    ASSERT_TRUE(created);
    LaneSource& source = **created;
    for (uint32_t i = 0; i < source.file().lanes(); ++i)  // the pages of all lanes are there
        memset(&source.file().lane(i), 0, REMORA_LANE_BYTES);
    CheckingSink sink;
    std::atomic<bool> stop{false};
    std::thread target{[&] { scribble(source.file(), seed, stop); }};
    const uint64_t end = monotonic_ns() + 3'000'000'000;
    uint64_t polls = 0;
    for (; monotonic_ns() < end; ++polls) {
        source.poll(sink);
        ASSERT_LE(source.live_processes(), source.file().lanes());
    }
    stop = true;
    target.join();
    source.close(sink);
    EXPECT_EQ(0u, source.live_processes());
    std::printf("%llu polls, %llu processes, %llu exchanges\n",
                static_cast<unsigned long long>(polls), static_cast<unsigned long long>(sink.begun),
                static_cast<unsigned long long>(sink.exchanges));
    EXPECT_GT(sink.begun, 0u);  // the noise did reach the code that it should try
    EXPECT_GT(sink.exchanges, 0u);
}

}  // namespace
}  // namespace remora
