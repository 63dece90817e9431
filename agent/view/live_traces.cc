// SPDX-License-Identifier: Apache-2.0
#include "agent/view/live_traces.h"

#include <algorithm>
#include <unordered_set>

namespace remora {
namespace {

// How long to wait after a span for more of its trace.
std::chrono::milliseconds patience(const TraceView& trace) {
    std::unordered_set<uint64_t> ids;
    for (const ViewSpan& span : trace.spans) ids.insert(span.id.key());
    auto wait = LiveTraces::settle;
    for (const ViewSpan& span : trace.spans) {
        // A remote parent may be traced by somebody else, or by nobody.
        if (!span.parent.valid() || span.parent_is_remote || ids.count(span.parent.key()) != 0)
            continue;
        wait =
            std::max(wait, span.parent_is_process ? LiveTraces::short_wait : LiveTraces::long_wait);
    }
    return wait;
}

}  // namespace

void LiveTraces::add(const Span& span, TimePoint now) {
    // From the back: spans of one trace come close together.
    auto found = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Waiting& waiting) {
        return waiting.trace.id == span.trace_id;
    });
    if (found == waiting_.rend()) {
        waiting_.push_back({});
        found = waiting_.rbegin();
    }
    found->trace.add(span);
    found->due = now + patience(found->trace);
    if (waiting_.size() > traces_limit) waiting_.front().due = now;
}

std::vector<TraceView> LiveTraces::take_due(TimePoint now) {
    std::vector<TraceView> due;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (it->due > now) {
            ++it;
            continue;
        }
        due.push_back(std::move(it->trace));
        it = waiting_.erase(it);
    }
    return due;
}

std::vector<TraceView> LiveTraces::take_all() { return take_due(TimePoint::max()); }

std::optional<LiveTraces::TimePoint> LiveTraces::next_due() const {
    if (waiting_.empty()) return std::nullopt;
    return std::min_element(waiting_.begin(), waiting_.end(),
                            [](const Waiting& a, const Waiting& b) { return a.due < b.due; })
        ->due;
}

}  // namespace remora
