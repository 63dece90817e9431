// SPDX-License-Identifier: Apache-2.0
// The agent's own numbers in the Prometheus text format (version 0.0.4).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/export/export_counts.h"

namespace remora {

struct AgentNumbers {
    uint64_t spans_seen = 0;                               // built from what programs said
    uint64_t spans_kept = 0;                               // and let through by the samplers
    std::vector<std::pair<std::string, uint64_t>> losses;  // by the names of bpf/abi/loss.h
    std::vector<std::pair<std::string, ExportCounts>> destinations;
};

std::string metrics_text(const AgentNumbers& numbers);

}  // namespace remora
