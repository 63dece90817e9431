// SPDX-License-Identifier: Apache-2.0
// Which traced processes are still there when the program itself has ended: daemons, jobs in the
// background. No subreaper is set for this (it would change who their parent is): they are known by
// their lanes and, where they hold none yet, by having the lanes mapped. Main thread.
#pragma once

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
    const LaneSource& source_;
    uint64_t our_start_ns_ = 0;  // they are our descendants: none is older
    std::vector<ProcessHandle> mapped_;
};

}  // namespace remora
