// SPDX-License-Identifier: Apache-2.0
// Which traced processes are still there when the program itself has ended: daemons, jobs in the
// background. No subreaper is set for this (it would change who their parent is): they are known by
// their lanes and, where they hold none yet, by having the lanes mapped. What a lane says is not
// enough: a hostile program could name a process that never ends. Main thread.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "agent/ingest/lane_source.h"
#include "agent/ingest/process_handle.h"

namespace remora {

class Survivors {
public:
    // The source is the caller's and outlives this.
    explicit Survivors(const LaneSource& source);

    // How many there are now, as far as can be seen. Cheap while some are known; else it looks
    // through /proc.
    size_t count();

private:
    size_t lane_holders();
    [[nodiscard]] bool is_ours(int pid) const;
    void find_mapped();

    const LaneSource& source_;
    const std::string session_;  // what their environment holds
    uint64_t our_start_ns_ = 0;  // they are our descendants: none is older
    std::vector<ProcessHandle> mapped_;
    std::unordered_map<int, bool> known_;  // live pids that were looked at: ours?
};

}  // namespace remora
