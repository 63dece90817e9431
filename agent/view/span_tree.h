// SPDX-License-Identifier: Apache-2.0
// The spans of a trace in the order in which a waterfall shows them: parents before children,
// siblings by start. Ids come from anywhere: cycles, strangers and doubles are all shown, once.
#pragma once

#include <string>
#include <vector>

#include "agent/view/trace_view.h"

namespace remora {

struct TreeRow {
    const ViewSpan* span;
    bool orphan = false;           // has a parent that is not among these spans
    std::vector<bool> more_after;  // per level from the outermost: does a sibling follow?
};

// Rows point into the trace.
std::vector<TreeRow> span_tree(const TraceView& trace);

}  // namespace remora
