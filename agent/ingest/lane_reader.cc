// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/lane_reader.h"

#include <algorithm>
#include <cstring>

#include "agent/base/clock.h"
#include "agent/ingest/record_check.h"

namespace remora {

namespace {

uint64_t slot_word(remora_slot& slot) { return __atomic_load_n(&slot.state, __ATOMIC_ACQUIRE); }
uint64_t state_of(uint64_t word) { return word & 0xff; }
uint64_t with_state(uint64_t word, remora_slot_state state) {
    return REMORA_SLOT_WORD(word >> 8, state);
}

// Calls visit(slot number, slot) for each bit of the mask; slot 0 is the head and never one of
// them.
template <typename Visit>
void for_each_slot(remora_lane& lane, uint64_t mask, Visit visit) {
    for (mask &= REMORA_LANE_ALL_FREE; mask != 0; mask &= mask - 1) {
        const auto number = static_cast<unsigned>(__builtin_ctzll(mask));
        visit(number, lane.slots[number - 1]);
    }
}

// Nobody counts faster than one loss in 10 ns: more is scribble.
constexpr uint64_t fastest_loss_ns = 10;

}  // namespace

void LaneReader::start(remora_lane& lane, uint64_t image, uint32_t process_id, uint64_t now) {
    lane_ = &lane;
    image_ = image;
    process_id_ = process_id;
    losses_read_ns_ = now;
    std::fill(std::begin(losses_), std::end(losses_), 0);
}

size_t LaneReader::read_finished(SlotCopy& copy, RecordSink& sink) {
    // Looked at first: an exchange of an idle lane's cache line would take it from its owner.
    if (__atomic_load_n(&lane_->head.done, __ATOMIC_RELAXED) == 0) return 0;
    // Partner: the shim's release when it sets the bit after it wrote the slot.
    const uint64_t done = __atomic_exchange_n(&lane_->head.done, 0, __ATOMIC_ACQUIRE);
    size_t count = 0;
    for_each_slot(*lane_, done, [&](unsigned number, remora_slot& slot) {
        const uint64_t word = slot_word(slot);
        // Not finished, whatever the bit says: it may be somebody's open exchange, so it stays.
        if (state_of(word) != REMORA_SLOT_DONE) return sink.on_loss(REMORA_LOSS_record_invalid, 1);
        emit(copy_slot(number, copy, REMORA_END_OPEN), copy, sink);
        ++count;
        __atomic_store_n(&slot.state, with_state(word, REMORA_SLOT_FREE), __ATOMIC_RELAXED);
        // Partner: the shim's acquire when it takes the bit. At once, not for all slots together:
        // the program may be waiting for one.
        __atomic_fetch_or(&lane_->head.free, uint64_t{1} << number, __ATOMIC_RELEASE);
    });
    return count;
}

void LaneReader::take_open(uint64_t limit, uint64_t now, remora_end end, SlotCopy& copy,
                           RecordSink& sink) {
    const uint64_t settled = now > REMORA_CONNECT_SETTLED_NS ? now - REMORA_CONNECT_SETTLED_NS : 0;
    const uint64_t free = __atomic_load_n(&lane_->head.free, __ATOMIC_RELAXED);
    for_each_slot(*lane_, ~free, [&](unsigned number, remora_slot& slot) {
        uint64_t word = slot_word(slot);
        if (state_of(word) != REMORA_SLOT_OPEN) return;
        const uint64_t moved =
            std::max(__atomic_load_n(&slot.exchange.activity_ns, __ATOMIC_RELAXED),
                     __atomic_load_n(&slot.exchange.start_ns, __ATOMIC_RELAXED));
        const bool stands =
            (__atomic_load_n(&slot.exchange.marks, __ATOMIC_RELAXED) & REMORA_MARK_STANDS) != 0;
        if (moved == 0 || moved >= (stands ? std::max<uint64_t>(limit, settled) : limit)) return;
        // From here on the shim frees the slot when it comes to finish it, and hands nothing over.
        if (!__atomic_compare_exchange_n(&slot.state, &word, with_state(word, REMORA_SLOT_TAKEN),
                                         false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
        emit(copy_slot(number, copy, end), copy, sink);
    });
}

void LaneReader::read_unfinished(SlotCopy& copy, RecordSink& sink) {
    const uint64_t free = __atomic_load_n(&lane_->head.free, __ATOMIC_ACQUIRE);
    for_each_slot(*lane_, ~free, [&](unsigned number, remora_slot& slot) {
        switch (state_of(slot_word(slot))) {
            case REMORA_SLOT_DONE:  // killed before it could set the bit
                return emit(copy_slot(number, copy, REMORA_END_OPEN), copy, sink);
            case REMORA_SLOT_OPEN: {
                const Copied copied = copy_slot(number, copy, REMORA_END_PROCESS);
                if (copied == Copied::good && copy.exchange.end == REMORA_END_PROCESS)
                    sink.on_loss(REMORA_LOSS_exchange_unfinished, 1);
                return emit(copied, copy, sink);
            }
            default: return;  // free, or already reported as idle
        }
    });
}

// end: how to end an exchange that is open; REMORA_END_OPEN: it must be a finished one.
LaneReader::Copied LaneReader::copy_slot(unsigned slot, SlotCopy& copy, remora_end end) const {
    const remora_slot& source = lane_->slots[slot - 1];
    remora_exchange& exchange = copy.exchange;
    memcpy(&exchange, &source.exchange, sizeof(exchange));
    exchange.process_id = process_id_;    // the lane's owner, whatever the slot says
    __asm__ volatile("" ::: "memory");    // from here on nothing may be read from the source again
    const uint64_t now = monotonic_ns();  // after the copy: no honest time is later
    if (end != REMORA_END_OPEN) {
        // Reserved, but its id has not gone out; or it is not recorded: its flag says so.
        static constexpr uint8_t none[sizeof(exchange.trace_id)] = {};
        if (memcmp(exchange.trace_id, none, sizeof(none)) == 0 || (exchange.trace_flags & 1) == 0)
            return Copied::empty;
        if ((exchange.marks & REMORA_MARK_STANDS) == 0 || exchange.end == REMORA_END_OPEN) {
            exchange.end = static_cast<uint8_t>(end);
            exchange.end_ns = exchange.activity_ns != 0 ? exchange.activity_ns : now;
        }
    }
    if (exchange.image != image_ ||
        !check_exchange(exchange, sizeof(copy.payload), now, Ends::finished))
        return Copied::refused;
    // The sizes are those of our copy: what the program changes now, changes text and no bounds.
    memcpy(copy.payload, source.payload, payload_size(exchange));
    return Copied::good;
}

void LaneReader::emit(Copied copied, const SlotCopy& copy, RecordSink& sink) const {
    if (copied == Copied::good) sink.on_exchange(view_of(copy.exchange, copy.payload));
    if (copied == Copied::refused) sink.on_loss(REMORA_LOSS_record_invalid, 1);
}

void LaneReader::read_losses(uint64_t now, RecordSink& sink) {
    const uint64_t most = (now - losses_read_ns_) / fastest_loss_ns + 1;
    losses_read_ns_ = now;
    for (unsigned reason = 0; reason < REMORA_LOSS_COUNT; ++reason) {
        const uint64_t count = __atomic_load_n(&lane_->head.lost[reason], __ATOMIC_RELAXED);
        const uint64_t before = losses_[reason];
        losses_[reason] = count;
        if (count > before)
            sink.on_loss(static_cast<remora_loss>(reason), std::min(count - before, most));
    }
}

}  // namespace remora
