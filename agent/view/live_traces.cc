// SPDX-License-Identifier: Apache-2.0
#include "agent/view/live_traces.h"

#include <algorithm>

namespace remora {

void LiveTraces::Waiting::add(const Span& span) {
    const size_t before = trace.spans.size();
    trace.add(span);
    missing_processes.erase(span.span_id.key());
    missing_requests.erase(span.span_id.key());
    if (trace.spans.size() == before) return;  // full: no more is kept of it
    const ViewSpan& added = trace.spans.back();
    ids.insert(added.id.key());
    // A remote parent may be traced by somebody else, or by nobody.
    if (!added.parent.valid() || added.parent_is_remote || ids.count(added.parent.key()) != 0)
        return;
    (added.parent_is_process ? missing_processes : missing_requests).insert(added.parent.key());
}

// How long to wait after a span for more of its trace.
std::chrono::milliseconds LiveTraces::Waiting::patience() const {
    if (!missing_requests.empty()) return long_wait;
    return missing_processes.empty() ? settle : short_wait;
}

void LiveTraces::add(const Span& span, TimePoint now) {
    // From the back: spans of one trace come close together.
    auto found = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Waiting& waiting) {
        return waiting.trace.id == span.trace_id;
    });
    if (found == waiting_.rend()) {
        waiting_.push_back({});
        found = waiting_.rbegin();
    }
    const size_t before = found->trace.spans.size();
    found->add(span);
    spans_ += found->trace.spans.size() - before;
    found->due = now + found->patience();
    if (waiting_.size() > traces_limit) waiting_.front().due = now;
    while (waiting_.size() > 2 * traces_limit || (spans_ > spans_limit && waiting_.size() > 1))
        forget_oldest();
}

void LiveTraces::forget_oldest() {
    spans_ -= waiting_.front().trace.spans.size();
    waiting_.pop_front();
    ++forgotten_;
}

std::vector<TraceView> LiveTraces::take_due(TimePoint now) {
    std::vector<TraceView> due;
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if (it->due > now) {
            ++it;
            continue;
        }
        spans_ -= it->trace.spans.size();
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
