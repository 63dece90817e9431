// SPDX-License-Identifier: Apache-2.0
// Plays a traced program for tests: claims lanes and fills slots by the protocol of
// bpf/abi/lanes.h, without a shim. Works in a forked child too. Not thread-safe.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "agent/base/clock.h"
#include "agent/ingest/lane_file.h"

namespace remora::test {

inline remora_process a_process(uint64_t image) {
    remora_process process{};
    process.image = image;
    process.pid = static_cast<uint32_t>(::getpid());
    process.parent_pid = static_cast<uint32_t>(::getppid());
    process.start_ns = monotonic_ns();
    process.claimed_boot_ns = boottime_ns();
    memcpy(process.executable, "/usr/bin/test", 14);
    return process;
}

// A complete server exchange; `number` makes its ids and sequence.
inline remora_exchange an_exchange(uint64_t image, uint32_t number) {
    remora_exchange exchange{};
    exchange.image = image;
    exchange.connection = 1;
    exchange.trace_id[0] = 0xab;
    const uint32_t id = number + 1;
    memcpy(exchange.span_id, &id, sizeof(id));
    memcpy(exchange.protocol, "http", 5);
    exchange.start_ns = monotonic_ns();
    exchange.request_end_ns = exchange.response_start_ns = exchange.start_ns;
    exchange.end_ns = exchange.activity_ns = exchange.start_ns;
    exchange.sequence = number;
    exchange.trace_flags = 1;
    exchange.role = REMORA_ROLE_SERVER;
    exchange.end = REMORA_END_COMPLETE;
    return exchange;
}

class FakeShim {
public:
    explicit FakeShim(const LaneFile& file) : file_(file) {}

    // Takes the first READY lane; false: there is none.
    bool claim(const remora_process& process) {
        for (uint32_t i = 0; i < file_.lanes(); ++i) {
            remora_lane_head& head = file_.lane(i).head;
            uint64_t ready = REMORA_LANE_OWNER(0, REMORA_LANE_READY);
            if (!__atomic_compare_exchange_n(&head.owner, &ready,
                                             REMORA_LANE_OWNER(process.pid, REMORA_LANE_CLAIMING),
                                             false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                continue;
            head.process = process;
            __atomic_store_n(&head.owner, REMORA_LANE_OWNER(process.pid, REMORA_LANE_CLAIMED),
                             __ATOMIC_RELEASE);
            lane_ = &file_.lane(i);
            return true;
        }
        return false;
    }

    // Opens a slot; 0: the lane is full.
    unsigned open(const remora_exchange& exchange, std::string_view request = {},
                  std::string_view tracestate = {}, std::string_view response = {}) {
        uint64_t free = __atomic_load_n(&lane_->head.free, __ATOMIC_ACQUIRE);
        unsigned slot;
        do {
            if (free == 0) return 0;
            slot = static_cast<unsigned>(__builtin_ctzll(free));
        } while (!__atomic_compare_exchange_n(&lane_->head.free, &free,
                                              free & ~(uint64_t{1} << slot), false,
                                              __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
        remora_slot& place = lane_->slots[slot - 1];
        place.exchange = exchange;
        place.exchange.request_size = static_cast<uint16_t>(request.size());
        place.exchange.tracestate_size = static_cast<uint16_t>(tracestate.size());
        place.exchange.response_size = static_cast<uint16_t>(response.size());
        uint8_t* to = place.payload;
        for (const std::string_view part : {request, tracestate, response}) {
            std::copy(part.begin(), part.end(), to);
            to += part.size();
        }
        set_state(slot, REMORA_SLOT_OPEN);
        return slot;
    }
    void finish(unsigned slot) {
        set_state(slot, REMORA_SLOT_DONE);
        set_done(slot);
    }
    bool put(const remora_exchange& exchange, std::string_view request = {},
             std::string_view tracestate = {}, std::string_view response = {}) {
        const unsigned slot = open(exchange, request, tracestate, response);
        if (slot == 0) return false;
        finish(slot);
        return true;
    }

    void set_state(unsigned slot, remora_slot_state state) {
        __atomic_store_n(&lane_->slots[slot - 1].state, REMORA_SLOT_WORD(++ticket_, state),
                         __ATOMIC_RELEASE);
    }
    void set_done(unsigned slot) {
        __atomic_fetch_or(&lane_->head.done, uint64_t{1} << slot, __ATOMIC_RELEASE);
    }
    void lose(remora_loss reason, uint64_t count) {
        __atomic_fetch_add(&lane_->head.lost[reason], count, __ATOMIC_RELAXED);
    }
    [[nodiscard]] remora_lane& lane() const { return *lane_; }

private:
    const LaneFile& file_;
    remora_lane* lane_ = nullptr;
    uint64_t ticket_ = 0;
};

}  // namespace remora::test
