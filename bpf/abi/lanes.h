/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The shared memory through which the shim hands exchanges to the agent.
 *
 * The agent makes a sealed memfd (no shrink, no grow) of `lanes` lanes and hands out its path; the
 * shim maps the whole of it, sparse, and keeps no descriptor. A lane belongs to one process at a
 * time, a process may hold several. Slot 0's place is the lane's head; the other 63 slots each
 * hold one exchange from the moment its ids are minted until the agent has copied it.
 *
 * Who writes what (all by __atomic builtins, partner named):
 *   owner     agent: 0 -> READY once the lane's pages are allocated; shim: READY -> pid|CLAIMING
 *             -> pid|CLAIMED (release; the agent's acquire sees `process`); agent: -> READY when the
 *             owner is gone and all its slots are read.
 *   free      bit set: slot may be taken. Shim clears by CAS, agent sets (release).
 *   done      bit set: slot is finished. Shim sets (release), agent exchanges with 0 (acquire).
 *   slot.state  ticket << 8 | remora_slot_state, so that a stale holder can't finish a slot that
 *             was given to somebody else. shim: FREE -> OPEN -> DONE, or OPEN -> FREE (unsampled).
 *             agent: OPEN -> TAKEN (idle limit); the shim that later finds TAKEN frees the slot.
 *   lost      shim adds, agent reads the difference.
 *
 * Everything here may be scribbled over by any target: both sides mask indices, copy before they
 * check, and never loop on what they read. The shim reads nothing back that it sends to a peer. */
#ifndef REMORA_ABI_LANES_H
#define REMORA_ABI_LANES_H

#include "bpf/abi/loss.h"
#include "bpf/abi/record.h"

enum remora_lane_state {
    REMORA_LANE_ABSENT = 0, /* its pages are not allocated yet */
    REMORA_LANE_READY = 1,
    REMORA_LANE_CLAIMING = 2,
    REMORA_LANE_CLAIMED = 3,
};
#define REMORA_LANE_OWNER(pid, state) (((uint64_t)(pid) << 8) | (uint64_t)(state))
#define REMORA_LANE_STATE(owner) ((uint32_t)((owner)&0xff))
#define REMORA_LANE_PID(owner) ((uint32_t)((owner) >> 8))

enum remora_slot_state {
    REMORA_SLOT_FREE = 0,
    REMORA_SLOT_OPEN = 1,
    REMORA_SLOT_DONE = 2,
    REMORA_SLOT_TAKEN = 3,
};
#define REMORA_SLOT_WORD(ticket, state) (((uint64_t)(ticket) << 8) | (uint64_t)(state))

#define REMORA_LANE_ALL_FREE 0xfffffffffffffffeull /* bit i = slot i; slot 0 is the head */

struct remora_slot {
    uint64_t state;
    struct remora_exchange exchange;
    uint8_t payload[REMORA_SLOT_BYTES - 8 - sizeof(struct remora_exchange)];
};
REMORA_STATIC_ASSERT(sizeof(struct remora_slot) == REMORA_SLOT_BYTES, "layout");
#define REMORA_PAYLOAD_MAX ((uint32_t)sizeof(((struct remora_slot *)0)->payload))

struct remora_lane_head {
    uint64_t owner;
    uint64_t claims; /* agent: how often it was claimed; changes with every owner */
    uint64_t pad0[6];
    uint64_t free; /* own cache line: taken by the program's threads */
    uint64_t pad1[7];
    uint64_t done; /* own cache line: swapped by the agent */
    uint64_t pad2[7];
    uint64_t lost[REMORA_LOSS_REASONS_MAX];
    struct remora_process process;
    uint8_t pad3[REMORA_SLOT_BYTES - 192 - 8 * REMORA_LOSS_REASONS_MAX -
                 sizeof(struct remora_process)];
};
REMORA_STATIC_ASSERT(sizeof(struct remora_lane_head) == REMORA_SLOT_BYTES, "layout");

struct remora_lane {
    struct remora_lane_head head;
    struct remora_slot slots[REMORA_SLOTS_PER_LANE]; /* slot i of the masks is slots[i - 1] */
};
REMORA_STATIC_ASSERT(sizeof(struct remora_lane) == REMORA_LANE_BYTES, "layout");

#endif
