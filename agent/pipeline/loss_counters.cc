// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/loss_counters.h"

#include <fmt/format.h>

namespace remora {

const char* loss_text(remora_loss reason) {
    static constexpr const char* texts[] = {
#define X(name, text) text,
        REMORA_LOSS_REASONS(X)
#undef X
    };
    return reason < REMORA_LOSS_COUNT ? texts[reason] : "unknown";
}

const char* loss_name(remora_loss reason) {
    static constexpr const char* names[] = {
#define X(name, text) #name,
        REMORA_LOSS_REASONS(X)
#undef X
    };
    return reason < REMORA_LOSS_COUNT ? names[reason] : "unknown";
}

bool costs_spans(remora_loss reason) {
    switch (reason) {
        case REMORA_LOSS_ring_full:
        case REMORA_LOSS_no_lane:
        case REMORA_LOSS_agent_away:
        case REMORA_LOSS_record_invalid:
        case REMORA_LOSS_queue_full:
        case REMORA_LOSS_export_failed:
        case REMORA_LOSS_spool_full:
        case REMORA_LOSS_spool_damaged:
        case REMORA_LOSS_stream_gap:
        case REMORA_LOSS_connection_table_full:
        case REMORA_LOSS_process_table_full: return true;
        default: return false;
    }
}

void LossCounters::count(remora_loss reason, uint64_t number) {
    if (reason < REMORA_LOSS_COUNT) counts_[reason].fetch_add(number, std::memory_order_relaxed);
}

uint64_t LossCounters::of(remora_loss reason) const {
    return reason < REMORA_LOSS_COUNT ? counts_[reason].load(std::memory_order_relaxed) : 0;
}

std::vector<std::string> LossCounters::lines(bool everything) const {
    std::vector<std::string> lines;
    for (unsigned i = 0; i < REMORA_LOSS_COUNT; ++i) {
        const auto reason = static_cast<remora_loss>(i);
        if (of(reason) == 0 || (!everything && !costs_spans(reason))) continue;
        lines.push_back(fmt::format("{} x {}", of(reason), loss_text(reason)));
    }
    return lines;
}

}  // namespace remora
