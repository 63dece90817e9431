// SPDX-License-Identifier: Apache-2.0
// How much and how random: REMORA_TORTURE_SCALE multiplies the work (1), REMORA_SEED repeats a run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace torture {

inline unsigned scaled(unsigned amount) {
    const char* text = getenv("REMORA_TORTURE_SCALE");
    const double scale = text == nullptr ? 1 : atof(text);
    const double result = amount * (scale > 0 ? scale : 1);
    return result < 1 ? 1 : static_cast<unsigned>(result);
}

// Printed, so that a failure can be repeated.
inline uint64_t seed() {
    static const uint64_t chosen = [] {
        const char* text = getenv("REMORA_SEED");
        const uint64_t value =
            text != nullptr ? strtoull(text, nullptr, 0) : std::random_device{}();
        printf("REMORA_SEED=%llu\n", static_cast<unsigned long long>(value));
        fflush(stdout);
        return value;
    }();
    return chosen;
}

}  // namespace torture
