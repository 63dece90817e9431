// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/lane_source.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>

#include "agent/base/unique_fd.h"
#include "tests/support/fake_shim.h"
#include "tests/support/record_log.h"

namespace remora {
namespace {

using test::a_process;
using test::an_exchange;
using test::FakeShim;
using test::RecordLog;

constexpr uint64_t image = 0x1234;

// Looks at everything at every poll.
constexpr LaneSourceOptions eager{.ready_lanes = 2, .sweep_interval_ns = 0};

class LaneSourceTest : public ::testing::Test {
protected:
    void start(const LaneSourceOptions& options = eager, uint32_t lanes = 8) {
        auto file = LaneFile::create(lanes);
        ASSERT_TRUE(file) << file.error().text();
        auto created = LaneSource::create(std::move(*file), options);
        ASSERT_TRUE(created) << created.error().text();
        source = std::move(*created);
    }
    void SetUp() override { start(); }
    [[nodiscard]] const LaneFile& file() const { return source->file(); }
    [[nodiscard]] unsigned ready() const {
        unsigned count = 0;
        for (uint32_t i = 0; i < file().lanes(); ++i)
            count += REMORA_LANE_STATE(file().lane(i).head.owner) == REMORA_LANE_READY;
        return count;
    }

    std::unique_ptr<LaneSource> source;
    RecordLog log;
};

// A process of its own that runs `act` on the lanes and then waits to be ended.
class Child {
public:
    Child(const LaneFile& file, const std::function<void(FakeShim&)>& act) {
        int ready[2];
        EXPECT_EQ(0, ::pipe(ready));
        pid_ = ::fork();
        if (pid_ == 0) {
            FakeShim shim{file};
            act(shim);
            (void)!::write(ready[1], "", 1);
            for (;;) ::pause();
        }
        ::close(ready[1]);
        char byte;
        EXPECT_EQ(1, ::read(ready[0], &byte, 1));
        ::close(ready[0]);
    }
    ~Child() {
        if (pid_ > 0) end(SIGKILL);
    }
    // Ends it and leaves it a zombie.
    void end(int signal) {
        ::kill(pid_, signal);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
    }
    void reap() {
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    [[nodiscard]] int pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

TEST_F(LaneSourceTest, ReportsTheProcessAndThenItsExchange) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    ASSERT_TRUE(shim.put(an_exchange(image, 7), "GET /", "a=b", "200"));
    EXPECT_EQ(1u, source->poll(log));
    EXPECT_EQ("px", log.order);
    EXPECT_EQ(image, log.processes[0].image);
    EXPECT_EQ("GET /", log.exchanges[0].request);
    EXPECT_EQ("a=b", log.exchanges[0].tracestate);
    EXPECT_EQ("200", log.exchanges[0].response);
    EXPECT_EQ(7u, log.exchanges[0].exchange.sequence);
    EXPECT_EQ(1u, source->live_processes());
    EXPECT_EQ(std::vector<int>{::getpid()}, source->live_pids());
    EXPECT_EQ(0u, source->poll(log));
    EXPECT_EQ("px", log.order);
}

TEST_F(LaneSourceTest, FreesEverySlotThatItHasRead) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    for (uint32_t i = 0; i < 1000; ++i) {
        if (shim.put(an_exchange(image, i))) continue;
        EXPECT_EQ(size_t{REMORA_SLOTS_PER_LANE}, source->poll(log));
        ASSERT_TRUE(shim.put(an_exchange(image, i)));
    }
    source->poll(log);
    ASSERT_EQ(1000u, log.exchanges.size());
    EXPECT_EQ(REMORA_LANE_ALL_FREE, shim.lane().head.free);
    EXPECT_TRUE(log.losses.empty());
}

TEST_F(LaneSourceTest, KeepsLanesReadyForProcessesToCome) {
    EXPECT_EQ(2u, ready());
    FakeShim shim{file()};
    for (unsigned i = 0; i < 6; ++i) {
        ASSERT_TRUE(shim.claim(a_process(image)));
        source->poll(log);
        EXPECT_EQ(2u, ready());
    }
    EXPECT_EQ("p", log.order);  // several lanes, one process
    ASSERT_TRUE(shim.claim(a_process(image)));
    ASSERT_TRUE(shim.claim(a_process(image)));
    EXPECT_FALSE(shim.claim(a_process(image)));
    source->poll(log);
    EXPECT_EQ(0u, ready());  // all eight are taken
}

TEST_F(LaneSourceTest, LeavesOpenExchangesAlone) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    const unsigned slot = shim.open(an_exchange(image, 1));
    source->poll(log);
    EXPECT_TRUE(log.exchanges.empty());
    shim.finish(slot);
    source->poll(log);
    EXPECT_EQ(1u, log.exchanges.size());
}

TEST_F(LaneSourceTest, TakesAnExchangeThatRestsForTooLong) {
    start({.ready_lanes = 2, .idle_limit_ns = 1'000'000'000, .sweep_interval_ns = 0});
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    remora_exchange resting = an_exchange(image, 1);
    resting.end = REMORA_END_OPEN;
    resting.end_ns = 0;
    resting.start_ns -= 2'000'000'000;
    resting.activity_ns = resting.start_ns + 500'000'000;
    const unsigned slot = shim.open(resting);
    remora_exchange moving = an_exchange(image, 2);
    moving.start_ns -= 2'000'000'000;  // but its last byte is new
    shim.open(moving);
    source->poll(log);
    ASSERT_EQ(1u, log.exchanges.size());
    EXPECT_EQ(1u, log.exchanges[0].exchange.sequence);
    EXPECT_EQ(REMORA_END_IDLE, log.exchanges[0].exchange.end);
    EXPECT_EQ(resting.activity_ns, log.exchanges[0].exchange.end_ns);
    EXPECT_EQ(uint64_t{REMORA_SLOT_TAKEN}, shim.lane().slots[slot - 1].state & 0xff);
    EXPECT_EQ(0u, shim.lane().head.free & (uint64_t{1} << slot));  // the shim frees it
    source->poll(log);
    EXPECT_EQ(1u, log.exchanges.size());
}

TEST_F(LaneSourceTest, WhatStandsIsTakenSoonerAndEndsAsItSays) {
    start({.ready_lanes = 2, .idle_limit_ns = 300'000'000'000, .sweep_interval_ns = 0});
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    remora_exchange stands = an_exchange(image, 1);
    stands.role = REMORA_ROLE_CLIENT;
    stands.end = REMORA_END_ERROR;
    stands.error_number = ECONNREFUSED;
    stands.marks = REMORA_MARK_STANDS;
    stands.start_ns -= REMORA_CONNECT_SETTLED_NS + 1'000'000'000;
    stands.end_ns = stands.activity_ns = stands.start_ns + 500'000;
    shim.open(stands);
    remora_exchange young = an_exchange(image, 2);
    young.marks = REMORA_MARK_STANDS;
    shim.open(young);
    remora_exchange waits = stands;  // the next attempt is on its way
    waits.sequence = 3;
    waits.marks = 0;
    shim.open(waits);
    source->poll(log);
    ASSERT_EQ(1u, log.exchanges.size());
    const remora_exchange& taken = log.exchanges[0].exchange;
    EXPECT_EQ(1u, taken.sequence);
    EXPECT_EQ(REMORA_END_ERROR, taken.end);
    EXPECT_EQ(ECONNREFUSED, taken.error_number);
    EXPECT_EQ(stands.end_ns, taken.end_ns);
}

TEST_F(LaneSourceTest, CountsLossesByTheirDifference) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    source->poll(log);
    shim.lose(REMORA_LOSS_ring_full, 3);
    source->poll(log);
    shim.lose(REMORA_LOSS_ring_full, 2);
    shim.lose(REMORA_LOSS_capture_cut, 1);
    source->poll(log);
    source->poll(log);
    EXPECT_EQ(5u, log.lost(REMORA_LOSS_ring_full));
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_capture_cut));
}

TEST_F(LaneSourceTest, DoesNotBelieveCountersThatJump) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    source->poll(log);
    shim.lane().head.lost[REMORA_LOSS_ring_full] = UINT64_MAX / 2;
    source->poll(log);
    EXPECT_LT(log.lost(REMORA_LOSS_ring_full), 1'000'000'000u);
    shim.lane().head.lost[REMORA_LOSS_ring_full] = 0;  // and back: nothing was lost
    const uint64_t before = log.lost(REMORA_LOSS_ring_full);
    source->poll(log);
    EXPECT_EQ(before, log.lost(REMORA_LOSS_ring_full));
}

TEST_F(LaneSourceTest, ReportsWhatAProcessHasBecome) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    source->poll(log);
    shim.lane().head.process.states |= REMORA_PROCESS_SERVER;
    source->poll(log);
    source->poll(log);
    ASSERT_EQ("pp", log.order);
    EXPECT_EQ(uint32_t{REMORA_PROCESS_SERVER}, log.processes[1].states);
}

TEST_F(LaneSourceTest, KeepsTheIdentityThatItSawFirst) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    source->poll(log);
    shim.lane().head.process.image = 99;
    shim.lane().head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_READY);
    shim.lane().head.process.states = REMORA_PROCESS_SERVER;
    source->poll(log);
    EXPECT_EQ(image, log.processes.back().image);
    ASSERT_TRUE(shim.put(an_exchange(99, 1)));  // another image's exchange in this lane
    source->poll(log);
    EXPECT_TRUE(log.exchanges.empty());
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_record_invalid));
}

TEST_F(LaneSourceTest, FinishesWhatAKilledProcessLeftOpen) {
    Child child{file(), [](FakeShim& shim) {
                    shim.claim(a_process(image));
                    shim.put(an_exchange(image, 0), "finished");
                    const unsigned almost = shim.open(an_exchange(image, 1), "almost");
                    shim.set_state(almost, REMORA_SLOT_DONE);  // killed before set_done
                    remora_exchange open = an_exchange(image, 2);
                    open.end = REMORA_END_OPEN;
                    open.end_ns = 0;
                    shim.open(open, "open");
                    remora_exchange reserved{};  // its ids are not on the wire
                    reserved.image = image;
                    shim.open(reserved);
                    shim.lose(REMORA_LOSS_ring_full, 1);
                }};
    source->poll(log);
    EXPECT_EQ("px", log.order);
    child.end(SIGKILL);
    source->poll(log);
    ASSERT_EQ("pxxxP", log.order);
    EXPECT_EQ("almost", log.exchanges[1].request);
    EXPECT_EQ(REMORA_END_COMPLETE, log.exchanges[1].exchange.end);
    EXPECT_EQ("open", log.exchanges[2].request);
    EXPECT_EQ(REMORA_END_PROCESS, log.exchanges[2].exchange.end);
    EXPECT_EQ(log.exchanges[2].exchange.activity_ns, log.exchanges[2].exchange.end_ns);
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_exchange_unfinished));
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_ring_full));
    EXPECT_EQ(0u, log.lost(REMORA_LOSS_record_invalid));
    EXPECT_EQ(0u, source->live_processes());
    EXPECT_TRUE(source->live_pids().empty());
    const remora_process& last = log.processes.back();
    EXPECT_NE(0u, last.end_ns);
    EXPECT_EQ(uint32_t{REMORA_PROCESS_EXITED}, last.states);
    EXPECT_EQ(128 + SIGKILL, last.exit_code);
    EXPECT_GE(ready(), 2u);
}

TEST_F(LaneSourceTest, ReadsAProcessThatIsAlreadyGone) {
    Child child{file(), [](FakeShim& shim) {
                    shim.claim(a_process(image));
                    shim.put(an_exchange(image, 0));
                }};
    child.end(SIGTERM);
    child.reap();
    source->poll(log);
    EXPECT_EQ("pxP", log.order);
}

TEST_F(LaneSourceTest, TakesTheExitCodeFromWhoeverWaited) {
    Child child{file(), [](FakeShim& shim) { shim.claim(a_process(image)); }};
    const int pid = child.pid();
    source->poll(log);
    child.end(SIGTERM);
    child.reap();
    source->note_exit(pid, 143);
    source->poll(log);
    ASSERT_EQ("pP", log.order);
    EXPECT_EQ(143, log.processes.back().exit_code);
}

TEST_F(LaneSourceTest, WakesUpWhenAProcessEnds) {
    Child child{file(), [](FakeShim& shim) { shim.claim(a_process(image)); }};
    source->poll(log);
    child.end(SIGKILL);
    source->wait(std::chrono::hours(1));
    source->poll(log);
    EXPECT_EQ("pP", log.order);
}

TEST_F(LaneSourceTest, WakesUpWhenTold) {
    source->wake();
    source->wait(std::chrono::hours(1));
    source->poll(log);
}

TEST_F(LaneSourceTest, ALaterProcessOfTheSameNumberIsAnother) {
    remora_process earlier = a_process(image);
    earlier.claimed_boot_ns = 1;  // we were started later than that
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(earlier));
    source->poll(log);
    EXPECT_EQ("pP", log.order);
}

TEST_F(LaneSourceTest, ANewImageEndsTheOldOne) {
    FakeShim before{file()};
    FakeShim after{file()};
    ASSERT_TRUE(before.claim(a_process(image)));
    before.open(an_exchange(image, 1));
    source->poll(log);
    ASSERT_TRUE(after.claim(a_process(image + 1)));
    after.put(an_exchange(image + 1, 2));
    source->poll(log);
    ASSERT_EQ("pxPpx", log.order);
    EXPECT_EQ(REMORA_END_PROCESS, log.exchanges[0].exchange.end);
    EXPECT_EQ(image, log.processes[1].image);
    EXPECT_EQ(0u, log.processes[1].states & REMORA_PROCESS_EXITED);
    EXPECT_EQ(image + 1, log.processes[2].image);
    EXPECT_EQ(1u, source->live_processes());
}

// The earlier image's lanes may stand behind the later one's, where the poll comes too late.
TEST_F(LaneSourceTest, AnEarlierImageThatIsFoundLaterEndsAlone) {
    const remora_process earlier = a_process(image);
    remora_process later = a_process(image + 1);
    later.start_ns = earlier.start_ns + 1;
    FakeShim after{file()};
    FakeShim before{file()};
    FakeShim before_too{file()};
    ASSERT_TRUE(after.claim(later));
    source->poll(log);
    ASSERT_TRUE(before.claim(earlier));
    ASSERT_TRUE(before_too.claim(earlier));
    before.put(an_exchange(image, 1));
    before_too.open(an_exchange(image, 2));
    source->poll(log);
    ASSERT_EQ("ppxxP", log.order);
    EXPECT_EQ(REMORA_END_PROCESS, log.exchanges[1].exchange.end);
    EXPECT_EQ(image, log.processes[2].image);
    EXPECT_EQ(1u, source->live_processes());
    after.put(an_exchange(image + 1, 3));
    source->poll(log);
    EXPECT_EQ("ppxxPx", log.order);
}

// How a process ended is its last image's, however late the agent looks and in whatever order the
// lanes stand.
TEST_F(LaneSourceTest, TheLastImageTellsHowTheProcessEnded) {
    enum class Order { seen_before, in_order, reversed };
    for (const Order order : {Order::seen_before, Order::in_order, Order::reversed}) {
        log = {};
        start();
        Child child{file(), [](FakeShim&) {}};
        remora_process earlier = a_process(image);
        remora_process later = a_process(image + 1);
        earlier.pid = later.pid = static_cast<uint32_t>(child.pid());
        later.start_ns = earlier.start_ns + 1;
        FakeShim shim{file()};
        ASSERT_TRUE(shim.claim(order == Order::reversed ? later : earlier));
        if (order == Order::seen_before) source->poll(log);
        ASSERT_TRUE(shim.claim(order == Order::reversed ? earlier : later));
        child.end(SIGTERM);
        source->poll(log);
        source->poll(log);
        size_t ends = 0;
        for (const remora_process& process : log.processes) {
            if (process.end_ns == 0) continue;
            ++ends;
            EXPECT_EQ(process.image == image ? 0u : uint32_t{REMORA_PROCESS_EXITED},
                      process.states);
            EXPECT_EQ(process.image == image ? 0 : 128 + SIGTERM, process.exit_code);
        }
        EXPECT_EQ(2u, ends);
    }
}

TEST_F(LaneSourceTest, RefusesWhatCannotBeTrue) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    unsigned refused = 0;
    const auto put = [&](const std::function<void(remora_exchange&)>& spoil) {
        const unsigned slot = shim.open(an_exchange(image, 1), "request");
        ASSERT_NE(0u, slot);
        spoil(shim.lane().slots[slot - 1].exchange);
        shim.finish(slot);
        source->poll(log);
        EXPECT_EQ(++refused, log.lost(REMORA_LOSS_record_invalid));
        EXPECT_TRUE(log.exchanges.empty());
    };
    put([](remora_exchange& e) { e.request_size = 0xffff; });
    put([](remora_exchange& e) { e.response_size = REMORA_PAYLOAD_MAX - 6; });
    put([](remora_exchange& e) { e.tracestate_size = REMORA_TRACESTATE_MAX + 1; });
    put([](remora_exchange& e) { e.role = 3; });
    put([](remora_exchange& e) { e.role = REMORA_ROLE_UNKNOWN; });
    put([](remora_exchange& e) { e.join = 8; });
    put([](remora_exchange& e) { e.end = 9; });
    put([](remora_exchange& e) { e.end = REMORA_END_OPEN; });
    put([](remora_exchange& e) { memset(e.protocol, 'x', sizeof(e.protocol)); });
    put([](remora_exchange& e) { e.protocol[0] = 0; });
    put([](remora_exchange& e) { memcpy(e.protocol, "../x", 5); });
    put([](remora_exchange& e) { memset(e.span_id, 0, 8); });
    put([](remora_exchange& e) { memset(e.trace_id, 0, 16); });
    put([](remora_exchange& e) { e.start_ns = 0; });
    put([](remora_exchange& e) { e.start_ns = UINT64_MAX; });
    EXPECT_EQ(REMORA_LANE_ALL_FREE, shim.lane().head.free);  // refused is read, too
}

TEST_F(LaneSourceTest, ADoneBitOnASlotThatIsNotDoneFreesNothing) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    const unsigned slot = shim.open(an_exchange(image, 1));
    shim.set_done(slot);
    source->poll(log);
    EXPECT_TRUE(log.exchanges.empty());
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_record_invalid));
    EXPECT_EQ(0u, shim.lane().head.free & (uint64_t{1} << slot));
    shim.finish(slot);
    source->poll(log);
    EXPECT_EQ(1u, log.exchanges.size());
}

TEST_F(LaneSourceTest, EndsWhatIsOpenWhenTheAgentLeaves) {
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    const unsigned slot = shim.open(an_exchange(image, 1));
    source->close(log);
    EXPECT_EQ("pxP", log.order);
    EXPECT_EQ(REMORA_END_UNFOLLOWED, log.exchanges[0].exchange.end);
    EXPECT_EQ(uint64_t{REMORA_SLOT_TAKEN}, shim.lane().slots[slot - 1].state & 0xff);
    EXPECT_EQ(0u, log.processes.back().states & REMORA_PROCESS_EXITED);
}

TEST_F(LaneSourceTest, FreesALaneWhoseClaimerWasKilledWhileItClaimed) {
    const pid_t gone = ::fork();
    if (gone == 0) ::_exit(0);
    ::waitpid(gone, nullptr, 0);
    uint64_t& dead = file().lane(0).head.owner;
    uint64_t& living = file().lane(1).head.owner;
    const uint64_t ours = REMORA_LANE_OWNER(::getpid(), REMORA_LANE_CLAIMING);
    dead = REMORA_LANE_OWNER(gone, REMORA_LANE_CLAIMING);
    living = ours;
    for (int i = 0; i < 3; ++i) source->poll(log);
    EXPECT_EQ(uint32_t{REMORA_LANE_READY}, REMORA_LANE_STATE(dead));
    EXPECT_EQ(ours, living);
}

TEST_F(LaneSourceTest, GivesMemoryBackAfterACrowd) {
    start({.ready_lanes = 1, .sweep_interval_ns = 0}, 32);
    std::vector<std::unique_ptr<Child>> crowd;
    for (uint64_t i = 0; i < 20; ++i) {
        crowd.push_back(std::make_unique<Child>(
            file(), [i](FakeShim& shim) { shim.claim(a_process(image + i)); }));
        source->poll(log);
    }
    EXPECT_EQ(20u, source->live_processes());
    crowd.clear();
    source->poll(log);
    source->poll(log);
    EXPECT_EQ(0u, source->live_processes());
    EXPECT_LE(ready(), 2u);
    FakeShim shim{file()};
    EXPECT_TRUE(shim.claim(a_process(image)));
}

TEST_F(LaneSourceTest, RestsLongerTheLessThereIsToDo) {
    for (int i = 0; i < 20; ++i) {
        source->poll(log);
        source->rest();
    }
    EXPECT_EQ(std::chrono::milliseconds(10), source->rest());
    FakeShim shim{file()};
    ASSERT_TRUE(shim.claim(a_process(image)));
    while (shim.put(an_exchange(image, 1))) {
    }
    source->poll(log);
    EXPECT_EQ(std::chrono::nanoseconds(0), source->rest());
}

}  // namespace
}  // namespace remora
