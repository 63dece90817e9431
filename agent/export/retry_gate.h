// SPDX-License-Identifier: Apache-2.0
// When the next request to a destination may leave. As long as all is well at once; after a failure
// that may heal one request at a time, after a back-off that grows (see backoff.h) and not before
// the time that the destination asked for (Retry-After, RetryInfo). Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "agent/export/backoff.h"

namespace remora {

class RetryGate {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    explicit RetryGate(uint64_t seed) : backoff_(seed) {}

    // True: go, and say how it went by one of the two below. False: the deadline came first.
    bool wait(TimePoint deadline);
    // It answered: whatever it said, it is there.
    void answered();
    void failed(std::optional<std::chrono::milliseconds> asked);

    // The agent is about to leave: back-offs shrink, what the destination asked for stays, and
    // nobody waits beyond the deadline.
    void hurry(TimePoint deadline) noexcept;
    [[nodiscard]] bool hurried() const;
    [[nodiscard]] TimePoint bounded(TimePoint deadline) const;
    // Would a request that came now have to wait until then, or longer?
    [[nodiscard]] bool closed_until(TimePoint deadline) const;

    static constexpr std::chrono::milliseconds hurried_wait{250};

private:
    mutable std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    Backoff backoff_;
    bool in_trouble_ = false;
    bool trying_ = false;     // one request is on its way to find out
    TimePoint not_before_{};  // by the back-off
    TimePoint asked_until_{};
    TimePoint limit_ = TimePoint::max();
};

}  // namespace remora
