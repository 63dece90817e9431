// SPDX-License-Identifier: Apache-2.0
// Trace and span ids, and how new ones are drawn. Built into the shim: no allocation, no syscall.
#pragma once

#include <cstdint>
#include <cstring>

#include "agent/base/bytes.h"

namespace remora {

struct TraceId {
    uint8_t bytes[16] = {};
    [[nodiscard]] bool valid() const {
        uint64_t a, b;
        memcpy(&a, bytes, 8);
        memcpy(&b, bytes + 8, 8);
        return (a | b) != 0;
    }
};

struct SpanId {
    uint8_t bytes[8] = {};
    // The id as a key for tables; 0 is the invalid id.
    [[nodiscard]] uint64_t key() const {
        uint64_t k;
        memcpy(&k, bytes, 8);
        return k;
    }
    [[nodiscard]] bool valid() const { return key() != 0; }
};

inline bool operator==(const TraceId& a, const TraceId& b) { return memcmp(a.bytes, b.bytes, 16) == 0; }
inline bool operator==(const SpanId& a, const SpanId& b) { return a.key() == b.key(); }

// Writes 2 * count lower-case hexadecimal digits, no NUL.
void write_hex(const uint8_t* bytes, size_t count, char* out) noexcept;
// Reads exactly 2 * count lower-case digits; false when one is not. Upper case is refused:
// Trace Context 2, 3.2.2.2 wants HEXDIGLC.
bool read_hex(ByteView digits, uint8_t* out, size_t count) noexcept;

// Draws ids: xoshiro256** by Blackman and Vigna. One per thread, not thread-safe. Not for secrets.
class IdGenerator {
public:
    constexpr IdGenerator() = default;
    // Four words of entropy, e.g. from getrandom; all zero is mended.
    void seed(const uint64_t (&words)[4]) noexcept;
    [[nodiscard]] bool seeded() const { return (state_[0] | state_[1] | state_[2] | state_[3]) != 0; }
    uint64_t next() noexcept;
    TraceId trace_id() noexcept;  // never zero; all 128 bits random (the random flag may be set)
    SpanId span_id() noexcept;    // never zero

private:
    uint64_t state_[4] = {};
};

}  // namespace remora
