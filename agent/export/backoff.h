// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next try: exponential, with jitter so that many agents don't come
// back at once (OTLP specification, "OTLP/HTTP Throttling"). Not thread-safe.
#pragma once

#include <chrono>
#include <random>

namespace remora {

class Backoff {
public:
    explicit Backoff(uint64_t seed) : random_(seed) {}

    void reset() { step_ = first; }
    // The next wait: 0.5 to 1.5 times 500 ms, then of twice as much each time, up to 30 s.
    std::chrono::milliseconds next() {
        const std::chrono::milliseconds step = step_;
        step_ = std::min(step_ * 2, last);
        std::uniform_real_distribution<double> jitter(0.5, 1.5);
        const double wait = static_cast<double>(step.count()) * jitter(random_);
        return std::chrono::milliseconds(static_cast<int64_t>(wait));
    }

    static constexpr std::chrono::milliseconds first{500};
    static constexpr std::chrono::milliseconds last{30000};

private:
    std::chrono::milliseconds step_ = first;
    std::mt19937_64 random_;
};

}  // namespace remora
