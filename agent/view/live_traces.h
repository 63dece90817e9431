// SPDX-License-Identifier: Apache-2.0
// Gathers the spans of each trace until it seems complete. No clock, no thread, no output.
//
// Nobody says that a trace is complete; this is taken for it:
//   a root is there and nothing came for `settle`             the usual case
//   a parent is missing that can come only with its process   after `short_wait`
//   any other parent is missing: its request still runs       after `long_wait`
#pragma once

#include <chrono>
#include <list>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "agent/view/trace_view.h"

namespace remora {

class LiveTraces {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    static constexpr std::chrono::milliseconds settle{150};
    static constexpr std::chrono::milliseconds short_wait{1000};
    static constexpr std::chrono::milliseconds long_wait{30000};
    static constexpr size_t traces_limit = 512;  // the oldest is due when there are more
    // Nobody takes what is due while a terminal is held (Ctrl-S): the oldest are forgotten when
    // there are twice as many, or more than these spans in all.
    static constexpr size_t spans_limit = 20000;

    void add(const Span& span, TimePoint now);
    // Those whose time has come, oldest first.
    std::vector<TraceView> take_due(TimePoint now);
    std::vector<TraceView> take_all();
    // How many were forgotten since the last call.
    size_t take_forgotten() { return std::exchange(forgotten_, 0); }
    // When take_due() will next have something; nothing: not before the next span.
    [[nodiscard]] std::optional<TimePoint> next_due() const;

private:
    struct Waiting {
        TraceView trace;
        TimePoint due;
        // By id: what is there, and the parents that are not. A trace may have very many spans, so
        // each of them is looked at once.
        std::unordered_set<uint64_t> ids, missing_processes, missing_requests;

        void add(const Span& span);
        [[nodiscard]] std::chrono::milliseconds patience() const;
    };
    void forget_oldest();

    std::list<Waiting> waiting_;  // by first span
    size_t spans_ = 0;            // kept in all of them
    size_t forgotten_ = 0;
};

}  // namespace remora
