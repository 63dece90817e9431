// SPDX-License-Identifier: Apache-2.0
#include "agent/context/ids.h"

namespace remora {
namespace {

constexpr uint64_t rotate_left(uint64_t x, int count) { return (x << count) | (x >> (64 - count)); }

// The value of a lower-case hexadecimal digit; 0xff: not one.
constexpr uint8_t digit_value(uint8_t c) {
    if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
    return 0xff;
}

// Two digits at once: every rewritten head has 24 bytes of ids.
struct HexPairs {
    char text[256][2] = {};
    constexpr HexPairs() {
        constexpr char digits[] = "0123456789abcdef";
        for (unsigned i = 0; i < 256; ++i) {
            text[i][0] = digits[i >> 4];
            text[i][1] = digits[i & 15];
        }
    }
};
constexpr HexPairs hex_pairs;

}  // namespace

void write_hex(const uint8_t* bytes, size_t count, char* out) noexcept {
    for (size_t i = 0; i < count; ++i) memcpy(out + 2 * i, hex_pairs.text[bytes[i]], 2);
}

bool read_hex(ByteView digits, uint8_t* out, size_t count) noexcept {
    if (digits.size != 2 * count) return false;
    uint8_t seen = 0;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t high = digit_value(digits[2 * i]);
        const uint8_t low = digit_value(digits[2 * i + 1]);
        seen = static_cast<uint8_t>(seen | high | low);
        out[i] = static_cast<uint8_t>(high << 4 | (low & 15));
    }
    return (seen & 0xf0) == 0;
}

void IdGenerator::seed(const uint64_t (&words)[4]) noexcept {
    for (int i = 0; i < 4; ++i) state_[i] = words[i];
    if (seeded()) return;
    // The one state that xoshiro never leaves; it would also read as "not seeded". These are the
    // first outputs of splitmix64, with which its authors fill states.
    const uint64_t mended[4] = {0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f,
                                0xf88bb8a8724c81ec};
    for (int i = 0; i < 4; ++i) state_[i] = mended[i];
}

uint64_t IdGenerator::next() noexcept {
    const uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate_left(state_[3], 45);
    return result;
}

TraceId IdGenerator::trace_id() noexcept {
    TraceId id;
    const uint64_t words[2] = {next(), next()};
    memcpy(id.bytes, words, sizeof(words));
    if (!id.valid()) id.bytes[15] = 1;
    return id;
}

SpanId IdGenerator::span_id() noexcept {
    SpanId id;
    const uint64_t word = next();
    memcpy(id.bytes, &word, sizeof(word));
    if (!id.valid()) id.bytes[7] = 1;
    return id;
}

}  // namespace remora
