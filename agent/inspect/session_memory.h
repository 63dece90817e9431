// SPDX-License-Identifier: Apache-2.0
// What a running `remora run` and its programs have written into their shared memory, read from
// outside through /proc/<agent>/fd. Any program of the session may have scribbled over the lanes:
// all is copied by pread (nobody can take the file away under us, and no page is made), clipped,
// and never written. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bpf/abi/control.h"
#include "bpf/abi/lanes.h"

namespace remora {

// What the lanes of one process say. Texts are NUL-ended and untrusted.
struct LaneOwner {
    remora_process process{};
    std::array<uint64_t, REMORA_LOSS_COUNT> lost{};  // since the process took its first lane
    uint32_t lanes = 0;
    uint32_t open_exchanges = 0;
};

struct SessionMemory {
    int agent_pid = 0;
    std::string id;  // 32 hexadecimal digits
    uint64_t lanes_inode = 0;
    uint64_t control_inode = 0;
    uint64_t heartbeat_ns = 0;                           // CLOCK_MONOTONIC
    uint32_t switches = 0;                               // remora_control_switches
    uint32_t sampler = REMORA_SAMPLER_PARENT_ALWAYS_ON;  // remora_sampler
    bool other_version = false;  // layouts are not ours: only the inodes are known
    uint32_t lanes_left = 0;     // that no process has claimed
    std::vector<LaneOwner> owners;
};

// Nothing: the process is no agent (it has not both memory files open), or we may not look.
std::optional<SessionMemory> read_session_memory(int agent_pid);

}  // namespace remora
