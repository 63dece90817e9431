// SPDX-License-Identifier: Apache-2.0
// What the terminal needs of a span: a fraction of its memory. Texts are as the span had them, not
// yet printable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/span/span.h"

namespace remora {

struct ViewSpan {
    SpanId id;
    SpanId parent;  // zero: a root
    SpanKind kind = SpanKind::internal;
    bool error = false;
    bool parent_is_remote = false;
    bool parent_is_process = false;  // comes only when the process ends
    uint64_t start_unix_ns = 0;
    uint64_t end_unix_ns = 0;
    std::string service;
    std::string name;
    std::string target;   // url.path and its like: what names must not hold
    std::string outcome;  // "200", "exit 1", "ECONNRESET", "idle"
    std::string steps;    // how the connection came about, where that took a notable share
};

ViewSpan view_span(const Span& span);

struct TraceView {
    TraceId id;
    std::vector<ViewSpan> spans;  // in the order in which they came
    size_t spans_not_kept = 0;    // beyond the limit of one trace
    size_t errors = 0;            // among all spans
    uint64_t start_unix_ns = 0;   // of the earliest span
    uint64_t end_unix_ns = 0;     // of the latest end

    static constexpr size_t spans_limit = 1000;

    void add(const Span& span);
    [[nodiscard]] uint64_t duration_ns() const { return end_unix_ns - start_unix_ns; }
    [[nodiscard]] size_t span_count() const { return spans.size() + spans_not_kept; }
};

}  // namespace remora
