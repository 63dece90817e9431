// SPDX-License-Identifier: Apache-2.0
#include "preload/lane_writer.h"

#include <time.h>

#include <atomic>
#include <cstring>

#include "preload/process_state.h"
#include "preload/raw_syscall.h"
#include "preload/session.h"

namespace remora::shim {
namespace {

// After a search for a free lane that found none: how long the next one waits.
constexpr uint64_t claim_pause_ns = 50'000'000;
// The agent gives lanes their pages from the front; reading on through lanes without pages would
// make the kernel allocate them. A few may have been taken back in between.
constexpr uint32_t absent_lanes_tolerated = 4;

// Lanes of this process, as number + 1; 0: this place is still being filled.
std::atomic<uint32_t> held[REMORA_LANES_PER_PROCESS];
std::atomic<uint32_t> held_count{0};
std::atomic<uint32_t> preferred{0};  // where the last slot was found
std::atomic<uint32_t> parents{0};    // a forked child: its parent's first lane, as number + 1
std::atomic<uint64_t> next_claim_ns{0};
std::atomic<uint32_t> searching{0};  // threads that look at lanes which are not ours
std::atomic<bool> closed{false};     // those lanes are unmapped
std::atomic<uint64_t> tickets{1};
std::atomic<uint64_t> undelivered[REMORA_LOSS_REASONS_MAX];

uint32_t lanes_held() noexcept {
    const uint32_t count = held_count.load(std::memory_order_acquire);
    return count < REMORA_LANES_PER_PROCESS ? count : REMORA_LANES_PER_PROCESS;
}

// nullptr: nothing (yet) at this place.
remora_lane* held_lane(uint32_t place) noexcept {
    const uint32_t number = held[place].load(std::memory_order_acquire);
    return number == 0 ? nullptr : &session().lanes[number - 1];
}

template <typename Action>
void for_each_lane(Action action) noexcept {
    const uint32_t count = lanes_held();
    for (uint32_t place = 0; place < count; ++place)
        if (remora_lane* lane = held_lane(place)) action(*lane);
}

void deliver_losses(remora_lane& lane) noexcept {
    for (unsigned reason = 0; reason < REMORA_LOSS_REASONS_MAX; ++reason)
        if (undelivered[reason].load(std::memory_order_relaxed) != 0) {
            const uint64_t count = undelivered[reason].exchange(0, std::memory_order_relaxed);
            __atomic_fetch_add(&lane.head.lost[reason], count, __ATOMIC_RELAXED);
        }
}

uint64_t boot_now() noexcept {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

bool try_claim(remora_lane& lane) noexcept {
    uint64_t expected = REMORA_LANE_OWNER(0, REMORA_LANE_READY);
    const uint32_t pid = process_record().pid;
    // Acquire: the agent's emptying of the lane comes before our use of it.
    if (!__atomic_compare_exchange_n(&lane.head.owner, &expected,
                                     REMORA_LANE_OWNER(pid, REMORA_LANE_CLAIMING), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return false;
    lane.head.process = process_record();
    lane.head.process.claimed_boot_ns = boot_now();
    // Release: the agent's acquire of CLAIMED sees `process`.
    __atomic_store_n(&lane.head.owner, REMORA_LANE_OWNER(pid, REMORA_LANE_CLAIMED),
                     __ATOMIC_RELEASE);
    return true;
}

remora_lane* search_lane() noexcept {
    const Session& now = session();
    uint32_t absent = 0;
    for (uint32_t number = 0; number < now.lane_count; ++number) {
        remora_lane& lane = now.lanes[number];
        const uint32_t state =
            REMORA_LANE_STATE(__atomic_load_n(&lane.head.owner, __ATOMIC_RELAXED));
        absent = state == REMORA_LANE_ABSENT ? absent + 1 : 0;
        if (absent > absent_lanes_tolerated) break;
        if (state != REMORA_LANE_READY) continue;
        const uint32_t place = held_count.load(std::memory_order_relaxed);
        if (place >= REMORA_LANES_PER_PROCESS) return nullptr;
        if (!try_claim(lane)) continue;
        const uint32_t mine = held_count.fetch_add(1, std::memory_order_acq_rel);
        if (mine >= REMORA_LANES_PER_PROCESS) {
            // Others were faster. The lane stays claimed by us and unused until we end.
            held_count.store(REMORA_LANES_PER_PROCESS, std::memory_order_relaxed);
            return nullptr;
        }
        held[mine].store(number + 1, std::memory_order_release);
        deliver_losses(lane);
        return &lane;
    }
    return nullptr;
}

// Takes another lane. Two threads that need one at the same time may take one each.
remora_lane* claim_lane() noexcept {
    // Sequentially consistent, with keep_only_held_lanes(): either we see `closed` or it sees us.
    searching.fetch_add(1);
    remora_lane* lane = closed.load() ? nullptr : search_lane();
    searching.fetch_sub(1);
    return lane;
}

// A free slot's index, now ours, or 0.
uint32_t take_free_bit(remora_lane& lane) noexcept {
    // Acquire, here and below: the agent has copied what the slot held before.
    uint64_t free = __atomic_load_n(&lane.head.free, __ATOMIC_ACQUIRE);
    for (unsigned tries = 0; tries < 2 * (REMORA_SLOTS_PER_LANE + 1); ++tries) {
        const uint64_t usable = free & REMORA_LANE_ALL_FREE;
        if (usable == 0) return 0;
        const auto index = static_cast<uint32_t>(__builtin_ctzll(usable));
        if (__atomic_compare_exchange_n(&lane.head.free, &free, free & ~(uint64_t{1} << index),
                                        true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return index;
    }
    return 0;
}

SlotRef open_slot(remora_lane& lane, uint32_t index) noexcept {
    const SlotRef ref{&lane, index, process_epoch(),
                      tickets.fetch_add(1, std::memory_order_relaxed) & (UINT64_MAX >> 8)};
    remora_slot& slot = *ref.slot();
    memset(&slot.exchange, 0, sizeof(slot.exchange));
    slot.exchange.image = process_image();
    // Release: whoever finishes this slot after our death must not find the last user's exchange.
    __atomic_store_n(&slot.state, REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_OPEN), __ATOMIC_RELEASE);
    return ref;
}

SlotRef take_slot() noexcept {
    const uint32_t count = lanes_held();
    const uint32_t first = preferred.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t place = (first + i) % count;
        remora_lane* lane = held_lane(place);
        if (lane == nullptr) continue;
        const uint32_t index = take_free_bit(*lane);
        if (index == 0) continue;
        if (place != first) preferred.store(place, std::memory_order_relaxed);
        return open_slot(*lane, index);
    }
    return {};
}

// Claims a lane unless the last search failed a moment ago.
remora_lane* claim_lane_now_and_then(uint64_t now_ns) noexcept {
    if (held_count.load(std::memory_order_relaxed) >= REMORA_LANES_PER_PROCESS ||
        now_ns < next_claim_ns.load(std::memory_order_relaxed))
        return nullptr;
    remora_lane* lane = claim_lane();
    if (lane == nullptr) next_claim_ns.store(now_ns + claim_pause_ns, std::memory_order_relaxed);
    return lane;
}

bool usable(const SlotRef& ref) noexcept {
    return ref.lane != nullptr && ref.epoch == process_epoch() &&
           ref.index - 1 < REMORA_SLOTS_PER_LANE;
}

void free_slot(const SlotRef& ref) noexcept {
    // Release: our last store to the slot comes before anybody's next use of it.
    __atomic_fetch_or(&ref.lane->head.free, uint64_t{1} << ref.index, __ATOMIC_RELEASE);
}

// OPEN -> `next`. When the agent has taken an idle copy (TAKEN), the slot is freed instead.
bool leave_open(const SlotRef& ref, remora_slot_state next) noexcept {
    uint64_t expected = REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_OPEN);
    // Release: the agent's acquire of the state, or of the done bit, sees the exchange.
    if (__atomic_compare_exchange_n(&ref.slot()->state, &expected,
                                    REMORA_SLOT_WORD(ref.ticket, next), false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED))
        return true;
    if (expected == REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_TAKEN)) {
        __atomic_store_n(&ref.slot()->state, REMORA_SLOT_WORD(ref.ticket, REMORA_SLOT_FREE),
                         __ATOMIC_RELAXED);
        free_slot(ref);
    }
    return false;  // otherwise somebody scribbled, or the agent reclaimed the lane: not ours any
                   // more
}

}  // namespace

SlotRef reserve_slot(uint64_t now_ns) noexcept {
    if (!session().active) return {};
    if (!agent_reading(now_ns)) {
        count_loss(REMORA_LOSS_agent_away);
        return {};
    }
    if (SlotRef ref = take_slot()) return ref;
    if (remora_lane* lane = claim_lane_now_and_then(now_ns))
        if (const uint32_t index = take_free_bit(*lane)) return open_slot(*lane, index);
    count_loss(lanes_held() == 0 ? REMORA_LOSS_no_lane : REMORA_LOSS_ring_full);
    return {};
}

void finish_slot(const SlotRef& ref) noexcept {
    if (!usable(ref)) return;
    if (leave_open(ref, REMORA_SLOT_DONE))
        __atomic_fetch_or(&ref.lane->head.done, uint64_t{1} << ref.index, __ATOMIC_RELEASE);
}

bool discard_slot(const SlotRef& ref) noexcept {
    if (!usable(ref)) return true;
    if (!leave_open(ref, REMORA_SLOT_FREE)) return false;
    free_slot(ref);
    return true;
}

void count_loss(remora_loss reason, uint64_t count) noexcept {
    if (static_cast<unsigned>(reason) >= REMORA_LOSS_REASONS_MAX) return;
    remora_lane* lane = lanes_held() == 0 ? nullptr : held_lane(0);
    if (lane != nullptr)
        __atomic_fetch_add(&lane->head.lost[reason], count, __ATOMIC_RELAXED);
    else
        undelivered[reason].fetch_add(count, std::memory_order_relaxed);
}

bool claim_first_lane() noexcept {
    if (!session().active) return false;
    return lanes_held() != 0 || claim_lane() != nullptr;
}

bool losses_undelivered() noexcept {
    for (const std::atomic<uint64_t>& count : undelivered)
        if (count.load(std::memory_order_relaxed) != 0) return true;
    return false;
}

void publish_process_states(uint32_t states) noexcept {
    for_each_lane([states](remora_lane& lane) {
        __atomic_fetch_or(&lane.head.process.states, states, __ATOMIC_RELEASE);
    });
}

bool publish_referenced() noexcept {
    publish_process_states(REMORA_PROCESS_REFERENCED);
    if (lanes_held() != 0) return true;
    const uint32_t number = parents.load(std::memory_order_relaxed);
    if (number == 0) return false;
    // If the lane has changed hands meanwhile, the worst is one process span that nobody asked for.
    remora_process& parent = session().lanes[number - 1].head.process;
    if (__atomic_load_n(&parent.image, __ATOMIC_RELAXED) != process_image()) return false;
    __atomic_fetch_or(&parent.states, REMORA_PROCESS_REFERENCED, __ATOMIC_RELEASE);
    return true;
}

void publish_exit(int code, uint64_t now_ns) noexcept {
    for_each_lane([code, now_ns](remora_lane& lane) {
        __atomic_store_n(&lane.head.process.exit_code, code, __ATOMIC_RELAXED);
        __atomic_store_n(&lane.head.process.end_ns, now_ns, __ATOMIC_RELAXED);
        // Release: whoever sees EXITED sees the code.
        __atomic_fetch_or(&lane.head.process.states, REMORA_PROCESS_EXITED, __ATOMIC_RELEASE);
    });
}

void forget_lanes() noexcept {
    const uint32_t first = held[0].load(std::memory_order_relaxed);
    if (first != 0) parents.store(first, std::memory_order_relaxed);
    held_count.store(0, std::memory_order_relaxed);
    for (std::atomic<uint32_t>& place : held) place.store(0, std::memory_order_relaxed);
    for (std::atomic<uint64_t>& count : undelivered) count.store(0, std::memory_order_relaxed);
    preferred.store(0, std::memory_order_relaxed);
    searching.store(0);  // threads that the child doesn't have
    next_claim_ns.store(0, std::memory_order_relaxed);
}

void keep_only_held_lanes() noexcept {
    if (!session().active || closed.exchange(true)) return;
    // Somebody is reading them just now: then all stay, which costs memory and harms nobody.
    if (searching.load() != 0 || seccomp_filtered()) return;
    const uint32_t all = session().lane_count;
    uint32_t begin = 0;
    for (uint32_t number = 0; number <= all; ++number) {
        bool ours = number == all;
        for (const std::atomic<uint32_t>& place : held) ours |= place.load() == number + 1;
        ours |= parents.load() == number + 1;
        if (!ours) continue;
        if (number > begin)
            raw_syscall(SYS_munmap, &session().lanes[begin],
                        uint64_t{number - begin} * REMORA_LANE_BYTES);
        begin = number + 1;
    }
}

}  // namespace remora::shim
