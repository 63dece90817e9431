// SPDX-License-Identifier: Apache-2.0
// Reads the slots of one lane on behalf of its owner. Not thread-safe.
#pragma once

#include <cstdint>

#include "agent/ingest/record_sink.h"
#include "bpf/abi/lanes.h"

namespace remora {

// Where a slot is copied to before it is looked at. One for all lanes.
struct SlotCopy {
    remora_exchange exchange;
    uint8_t payload[REMORA_PAYLOAD_MAX];
};

class LaneReader {
public:
    // The lane was claimed for this image; records that name another one are refused.
    void start(remora_lane& lane, uint64_t image, uint32_t process_id, uint64_t now);

    // Hands on what is finished and frees the slots. Returns how many.
    size_t read_finished(SlotCopy& copy, RecordSink& sink);
    // Takes over open exchanges in which nothing has moved since `limit`; they end as `end`. For
    // owners that live on: the shim frees such a slot when it comes to finish it. Those that stand
    // (REMORA_MARK_STANDS) rest for REMORA_CONNECT_SETTLED_NS at most, and end as they say.
    void take_open(uint64_t limit, uint64_t now, remora_end end, SlotCopy& copy, RecordSink& sink);
    // The owner is gone: what is open ends with it. Call read_finished first.
    void read_unfinished(SlotCopy& copy, RecordSink& sink);
    // Losses since the last call.
    void read_losses(uint64_t now, RecordSink& sink);

private:
    enum class Copied : uint8_t { good, empty, refused };
    Copied copy_slot(unsigned slot, SlotCopy& copy, remora_end end) const;
    void emit(Copied copied, const SlotCopy& copy, RecordSink& sink) const;

    remora_lane* lane_ = nullptr;
    uint64_t image_ = 0;
    uint32_t process_id_ = 0;
    uint64_t losses_read_ns_ = 0;
    uint64_t losses_[REMORA_LOSS_COUNT] = {};
};

}  // namespace remora
