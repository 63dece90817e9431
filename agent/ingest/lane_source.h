// SPDX-License-Identifier: Apache-2.0
// Reads what traced programs put into the lanes (bpf/abi/lanes.h) and hands it on as records.
//
// One thread polls; wake(), live_processes() and note_exit() may be called from any other. Nothing
// that a program writes can crash, block or grow this: identities are copied once when a lane is
// claimed, slots are copied before they are checked, and every loop is bounded by the lanes'
// number.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/ingest/lane_file.h"
#include "agent/ingest/lane_reader.h"
#include "agent/ingest/process_handle.h"
#include "agent/ingest/record_sink.h"

namespace remora {

struct LaneSourceOptions {
    uint32_t ready_lanes = 64;  // kept free for programs to come: 128 KiB of memory each
    uint64_t idle_limit_ns = 300'000'000'000;  // an exchange that rests longer is finished as idle
    uint64_t sweep_interval_ns = 100'000'000;  // between looks at losses and at idle exchanges
};

class LaneSource {
public:
    static Result<std::unique_ptr<LaneSource>> create(LaneFile file,
                                                      const LaneSourceOptions& options = {});

    // Hands on everything that is there: processes before their exchanges. Returns how many
    // exchanges it read.
    size_t poll(RecordSink& sink);
    // The last poll: open exchanges of processes that live on end as unfollowed, and their process
    // records are final.
    void close(RecordSink& sink);

    // How long to rest after a poll: not at all while lanes run full, 10 ms when nothing happens.
    // (A lane's 63 slots last 3 ms at 20,000 requests/s; a resting program's first burst finds the
    // ready lanes.)
    std::chrono::nanoseconds rest();
    // Waits so long, or until a process ends or wake() is called.
    void wait(std::chrono::nanoseconds time);
    void wake();

    // Processes that hold a lane and had not ended at the last poll. Who they are is what the lanes
    // say: a hostile program may have claimed one in the name of another process.
    [[nodiscard]] size_t live_processes() const { return live_.load(std::memory_order_acquire); }
    // Their numbers in our pid namespace.
    [[nodiscard]] std::vector<int> live_pids() const;
    // A process of our pid namespace was waited for: what its exit code was.
    void note_exit(int pid, int exit_code);

    [[nodiscard]] const LaneFile& file() const { return file_; }

private:
    // A process image that holds lanes.
    struct Owner {
        remora_process process{};  // our copy: identity as first seen, states as they change
        std::optional<ProcessHandle> handle;
        std::vector<uint32_t> lanes;
        bool ended = false;     // the process, not only the image
        bool watched = false;   // its pidfd is in epoll_
        bool replaced = false;  // by a later image whose lane was found first
    };
    struct Lane {
        LaneReader reader;
        Owner* owner = nullptr;      // nullptr: not claimed
        uint64_t claiming_word = 0;  // owner word of a claim that hangs
    };

    LaneSource(LaneFile file, const LaneSourceOptions& options);

    void collect_deaths();
    void find_claims(RecordSink& sink);
    void claim(uint32_t index, RecordSink& sink);
    Owner& owner_of(const remora_process& process, RecordSink& sink);
    void pass_on(Owner& owner, std::optional<ProcessHandle>& successor);
    void watch(Owner& owner);
    bool adopt_states(Owner& owner, const remora_lane_head& head) const;
    void sweep(uint64_t now, RecordSink& sink);
    void free_stuck_claims();
    void finish_ended(RecordSink& sink);
    void finish_replaced(RecordSink& sink);
    void finish(Owner& owner, RecordSink& sink);
    std::optional<int> take_noted_exit(const Owner& owner);
    void report_end(Owner& owner, RecordSink& sink);
    void publish_owners();
    void replenish();
    void trim();

    LaneFile file_;
    LaneSourceOptions options_;
    std::vector<Lane> lanes_;
    uint32_t allocated_ = 0;       // lanes that have pages, counted from the front
    std::vector<uint32_t> ready_;  // offered, not yet seen claimed
    std::vector<uint32_t> claimed_;
    std::vector<std::unique_ptr<Owner>> owners_;
    SlotCopy copy_;
    UniqueFd epoll_;
    UniqueFd wake_;
    uint64_t own_namespace_ = 0;
    uint64_t swept_ns_ = 0;
    uint64_t idle_checked_ns_ = 0;
    uint64_t fullest_ = 0;  // finished slots of one lane in the last poll
    std::chrono::nanoseconds rest_;
    bool any_ended_ = false;
    bool any_replaced_ = false;
    bool owners_changed_ = false;
    bool out_of_memory_ = false;
    mutable std::mutex mutex_;            // guards the two below
    std::unordered_map<int, int> exits_;  // by pid; few: children that were waited for
    std::vector<int> live_pids_;
    std::atomic<size_t> live_{0};
};

}  // namespace remora
