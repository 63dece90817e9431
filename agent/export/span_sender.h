// SPDX-License-Identifier: Apache-2.0
// What a remote destination understands: how a batch is written, and one try to send it. Trying
// again, waiting and spooling are RetryingExporter's.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "agent/span/span.h"

namespace remora {

// How one try ended.
struct Attempt {
    enum class Outcome {
        delivered,  // but for `rejected`
        again,      // may work later
        failed,     // never will
    };
    Outcome outcome = Outcome::failed;
    std::string why;           // not delivered: what happened and what to do, printable
    bool unreachable = false;  // nobody was there at all
    bool timed_out = false;    // no answer before the deadline
    std::optional<std::chrono::milliseconds> wait;  // what the destination asked for

    size_t rejected = 0;  // delivered, yet these spans were refused
    std::string remark;   // delivered, and this was said; printable
};

// Any thread, several at a time.
class SpanSender {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    virtual ~SpanSender() = default;
    [[nodiscard]] virtual std::string encode(const std::vector<Span>& batch) const = 0;
    // body: what encode() made of that many spans, perhaps in an earlier life of the agent.
    virtual Attempt send(const std::string& body, size_t spans, TimePoint deadline) = 0;
    // From now on nothing lasts beyond this, a running send() included.
    virtual void limit(TimePoint deadline) noexcept = 0;
};

}  // namespace remora
