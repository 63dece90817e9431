// SPDX-License-Identifier: Apache-2.0
#include "agent/view/trace_store.h"

#include <algorithm>
#include <cstring>

namespace remora {

void TraceTotals::add(const TraceView& trace) {
    ++traces;
    spans += trace.span_count();
    if (trace.errors > 0) ++with_errors;
    if (traces == 1 || trace.duration_ns() > slowest_ns) {
        slowest_ns = trace.duration_ns();
        slowest = trace.id;
    }
}

size_t TraceStore::HashTraceId::operator()(const TraceId& id) const noexcept {
    uint64_t halves[2];  // random, so that their sum is a hash
    memcpy(halves, id.bytes, sizeof(halves));
    return halves[0] + 31 * halves[1];
}

void TraceStore::on_span(const Span& span) {
    const std::lock_guard lock(mutex_);
    const auto [found, is_new] = traces_.try_emplace(span.trace_id);
    if (is_new) order_.push_back(span.trace_id);
    const size_t before = found->second.spans.size();
    found->second.add(span);
    spans_ += found->second.spans.size() - before;
    while (spans_ > spans_limit_ && order_.size() > 1) drop_oldest();
}

void TraceStore::drop_oldest() {
    const auto found = traces_.find(order_.front());
    order_.pop_front();
    spans_ -= found->second.spans.size();
    gone_.add(found->second);
    traces_.erase(found);
}

TraceStore::Content TraceStore::content() const {
    Content content;
    const std::lock_guard lock(mutex_);
    content.gone = gone_;
    content.traces.reserve(traces_.size());
    for (const TraceId& id : order_) content.traces.push_back(traces_.at(id));
    std::stable_sort(
        content.traces.begin(), content.traces.end(),
        [](const TraceView& a, const TraceView& b) { return a.start_unix_ns < b.start_unix_ns; });
    return content;
}

}  // namespace remora
