// SPDX-License-Identifier: Apache-2.0
// All losses of a session, by reason. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "bpf/abi/loss.h"

namespace remora {

// What a person reads, from loss.h.
const char* loss_text(remora_loss reason);
// Its name in loss.h.
const char* loss_name(remora_loss reason);
// Does this reason mean that a span is missing, or incomplete? The others say why something was
// left alone, which is the way it shall be.
bool costs_spans(remora_loss reason);

class LossCounters {
public:
    void count(remora_loss reason, uint64_t number);
    [[nodiscard]] uint64_t of(remora_loss reason) const;

    // One line per reason that was counted: "3 x no free slot: ...". everything: also those that
    // cost no span.
    [[nodiscard]] std::vector<std::string> lines(bool everything) const;

private:
    std::array<std::atomic<uint64_t>, REMORA_LOSS_COUNT> counts_{};
};

}  // namespace remora
