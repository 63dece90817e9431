// SPDX-License-Identifier: Apache-2.0
#include "agent/context/sampler.h"

namespace remora {
namespace {

// The 56 bits of which Level 2's random flag speaks: the id's last seven bytes, big-endian.
uint64_t randomness(const TraceId& id) {
    uint64_t value = 0;
    for (int i = 9; i < 16; ++i) value = value << 8 | id.bytes[i];
    return value;
}

struct NamedSampler {
    ByteView name;
    remora_sampler kind;
};

// Reads an unsigned decimal integer of at most `limit`; more saturates. Returns the digits read.
size_t read_digits(ByteView text, unsigned limit, unsigned& out) {
    size_t i = 0;
    out = 0;
    for (; i < text.size && ascii_digit(text[i]); ++i) {
        out = out * 10 + (text[i] - '0');
        if (out > limit) out = limit;
    }
    return i;
}

}  // namespace

bool Sampler::decide(const SpanContext* parent, const TraceId& trace_id) const noexcept {
    const bool has_parent = parent != nullptr && parent->valid();
    switch (kind) {
        case REMORA_SAMPLER_ALWAYS_ON: return true;
        case REMORA_SAMPLER_ALWAYS_OFF: return false;
        case REMORA_SAMPLER_RATIO: return randomness(trace_id) >= threshold;
        case REMORA_SAMPLER_PARENT_ALWAYS_ON: return !has_parent || parent->sampled();
        case REMORA_SAMPLER_PARENT_ALWAYS_OFF: return has_parent && parent->sampled();
        case REMORA_SAMPLER_PARENT_RATIO:
            return has_parent ? parent->sampled() : randomness(trace_id) >= threshold;
    }
    return false;  // a number from a control page of some other version
}

bool parse_sampler_name(ByteView name, remora_sampler& out) noexcept {
    const NamedSampler known[] = {
        {"always_on", REMORA_SAMPLER_ALWAYS_ON},
        {"always_off", REMORA_SAMPLER_ALWAYS_OFF},
        {"traceidratio", REMORA_SAMPLER_RATIO},
        {"parentbased_always_on", REMORA_SAMPLER_PARENT_ALWAYS_ON},
        {"parentbased_always_off", REMORA_SAMPLER_PARENT_ALWAYS_OFF},
        {"parentbased_traceidratio", REMORA_SAMPLER_PARENT_RATIO},
    };
    for (const NamedSampler& sampler : known) {
        if (!equal_ignoring_case(sampler.name, name)) continue;
        out = sampler.kind;
        return true;
    }
    return false;
}

// By hand: strtod() follows the target's locale, and from_chars() is library code.
bool parse_ratio(ByteView text, double& out) noexcept {
    double value = 0;
    double unit = 1;
    size_t digits = 0;
    size_t i = 0;
    for (; i < text.size && ascii_digit(text[i]); ++i, ++digits)
        value = value * 10 + (text[i] - '0');
    if (i < text.size && text[i] == '.') {
        for (++i; i < text.size && ascii_digit(text[i]); ++i, ++digits) {
            unit *= 10;
            if (unit < 1e18) value += (text[i] - '0') / unit;
        }
    }
    if (digits == 0) return false;
    if (i < text.size && (text[i] == 'e' || text[i] == 'E')) {
        ++i;
        const bool negative = i < text.size && text[i] == '-';
        if (negative || (i < text.size && text[i] == '+')) ++i;
        unsigned exponent = 0;
        const size_t count = read_digits(text.from(i), 400, exponent);
        if (count == 0) return false;
        i += count;
        for (; exponent > 0; --exponent) value = negative ? value / 10 : value * 10;
    }
    if (i != text.size || !(value >= 0 && value <= 1)) return false;
    out = value;
    return true;
}

uint64_t threshold_of_ratio(double ratio) noexcept {
    if (!(ratio > 0)) return threshold_never;
    if (ratio >= 1) return 0;
    // Scaling by a power of two is exact; only then is rounded, so that tiny ratios keep their
    // bits.
    const double accepted = ratio * static_cast<double>(threshold_never);
    return threshold_never - static_cast<uint64_t>(accepted + 0.5);
}

}  // namespace remora
