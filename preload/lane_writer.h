// SPDX-License-Identifier: Apache-2.0
// The shim's half of bpf/abi/lanes.h: claims lanes for this process, reserves a slot before an id
// goes out, hands the finished slot to the agent, counts losses.
//
// Any thread, and signal handlers: compare-and-swap only. A lane may be scribbled over by any other
// target: indices are masked, loops are bounded, and nothing is read back that matters. No function
// changes errno; none but keep_only_held_lanes makes a system call.
#pragma once

#include <cstdint>

#include "bpf/abi/lanes.h"

namespace remora::shim {

// A slot that is ours to fill. Of no use, and refused, after a fork in the child.
struct SlotRef {
    remora_lane* lane = nullptr;  // nullptr: none
    uint32_t index = 0;           // 1..63
    uint32_t epoch = 0;           // of the process that reserved it
    uint64_t ticket = 0;

    explicit operator bool() const noexcept { return lane != nullptr; }
    [[nodiscard]] remora_slot* slot() const noexcept { return &lane->slots[index - 1]; }
};

// A slot in state OPEN whose `exchange` is all zeros but for `image`; the agent ignores it while
// trace_id is zero. None: counted as agent_away, no_lane or ring_full, send flags 00.
SlotRef reserve_slot(uint64_t now_ns) noexcept;
// All of the exchange is written: over to the agent. If the agent has taken an idle copy meanwhile,
// that copy stands and the slot is freed.
void finish_slot(const SlotRef& slot) noexcept;
// It never was (unsampled after all, connection not followed): free again, nothing reported. false:
// the agent has taken it meanwhile.
bool discard_slot(const SlotRef& slot) noexcept;

// Kept for the agent, also while the process holds no lane.
void count_loss(remora_loss reason, uint64_t count = 1) noexcept;

// --- for process_state and the hooks of exit
// ------------------------------------------------------

// Makes sure that this process holds a lane, so that its record is with the agent. false: none
// free.
bool claim_first_lane() noexcept;
bool losses_undelivered() noexcept;  // counted while there was no lane
// Sets remora_process_states in every lane that this process holds.
void publish_process_states(uint32_t states) noexcept;
// The process span's id goes out: said in a lane of ours, or, by a forked child without one, in the
// parent's while that is still of the same image. false: neither.
bool publish_referenced() noexcept;
void publish_exit(int code, uint64_t now_ns) noexcept;
// A forked child: its parent's lanes are not its own. Losses not yet delivered stay the parent's.
void forget_lanes() noexcept;
// The program is about to lock all of its memory: the lanes that are not ours are unmapped, so that
// they neither count against its limit nor take real memory. No further lane can be claimed.
void keep_only_held_lanes() noexcept;

}  // namespace remora::shim
