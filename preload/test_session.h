// SPDX-License-Identifier: Apache-2.0
// For unit tests: a session in ordinary memory, installed as the process's own while it lives.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "preload/lane_writer.h"
#include "preload/process_state.h"
#include "preload/session.h"

namespace remora::shim {

class TestSession {
public:
    explicit TestSession(uint32_t lanes) : lanes_(lanes) {
        void* memory = ::mmap(nullptr, size_t{lanes} * REMORA_LANE_BYTES, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        base_ = static_cast<remora_lane*>(memory);
        for (uint32_t i = 0; i < lanes; ++i) offer(i);
        control.magic = REMORA_CONTROL_MAGIC;
        control.abi_version = REMORA_ABI_VERSION;
        control.lanes = lanes;
        control.session[0] = 0x1111;
        control.session[1] = 0x2222;
        control.sampler = REMORA_SAMPLER_PARENT_ALWAYS_ON;
        control.heartbeat_ns = monotonic_now();
        forget_lanes();
        session_storage.lanes = base_;
        session_storage.lane_count = lanes;
        session_storage.control = &control;
        session_storage.id[0] = control.session[0];
        session_storage.id[1] = control.session[1];
        session_storage.active = true;
    }
    ~TestSession() {
        forget_lanes();
        session_storage = Session{};
        ::munmap(base_, size_t{lanes_} * REMORA_LANE_BYTES);
    }
    TestSession(const TestSession&) = delete;

    remora_lane& lane(uint32_t index) { return base_[index]; }
    void offer(uint32_t index) {
        base_[index].head.free = REMORA_LANE_ALL_FREE;
        base_[index].head.owner = REMORA_LANE_OWNER(0, REMORA_LANE_READY);
    }
    [[nodiscard]] uint64_t lost(remora_loss reason) const {
        uint64_t sum = 0;
        for (uint32_t i = 0; i < lanes_; ++i) sum += base_[i].head.lost[reason];
        return sum;
    }
    [[nodiscard]] uint32_t claimed() const {
        uint32_t count = 0;
        for (uint32_t i = 0; i < lanes_; ++i)
            count += REMORA_LANE_STATE(base_[i].head.owner) == REMORA_LANE_CLAIMED ? 1 : 0;
        return count;
    }

    remora_control control{};

private:
    uint32_t lanes_;
    remora_lane* base_;
};

}  // namespace remora::shim
