// SPDX-License-Identifier: Apache-2.0
#include "agent/export/retry_gate.h"

#include <algorithm>

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

bool RetryGate::wait(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    for (;;) {
        const TimePoint now = Clock::now();
        const TimePoint end = std::min(deadline, limit_);
        if (now >= end) return false;
        if (!in_trouble_) return true;
        const TimePoint turn = std::max(not_before_, asked_until_);
        if (!trying_ && now >= turn) {
            trying_ = true;
            return true;
        }
        changed_.wait_until(lock, trying_ ? end : std::min(turn, end));
    }
}

void RetryGate::answered() {
    {
        const std::lock_guard lock(mutex_);
        in_trouble_ = trying_ = false;
        backoff_.reset();
    }
    changed_.notify_all();
}

void RetryGate::failed(std::optional<std::chrono::milliseconds> asked) {
    {
        const std::lock_guard lock(mutex_);
        const TimePoint now = Clock::now();
        in_trouble_ = true;
        trying_ = false;
        std::chrono::milliseconds wait = backoff_.next();
        if (limit_ != TimePoint::max()) wait = std::min(wait, hurried_wait);
        not_before_ = now + wait;
        if (asked) asked_until_ = std::max(asked_until_, now + *asked);
    }
    changed_.notify_all();
}

void RetryGate::hurry(TimePoint deadline) noexcept {
    {
        const std::lock_guard lock(mutex_);
        limit_ = std::min(limit_, deadline);
        not_before_ = std::min(not_before_, Clock::now() + hurried_wait);
    }
    changed_.notify_all();
}

bool RetryGate::hurried() const { return bounded(TimePoint::max()) != TimePoint::max(); }

RetryGate::TimePoint RetryGate::bounded(TimePoint deadline) const {
    const std::lock_guard lock(mutex_);
    return std::min(deadline, limit_);
}

bool RetryGate::closed_until(TimePoint deadline) const {
    const std::lock_guard lock(mutex_);
    return in_trouble_ && std::max(not_before_, asked_until_) >= deadline;
}

}  // namespace remora
