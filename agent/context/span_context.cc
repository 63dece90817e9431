// SPDX-License-Identifier: Apache-2.0
#include "agent/context/span_context.h"

namespace remora {
namespace {

constexpr unsigned members_max = 32;  // Level 2, 3.3.1.1: list-member 0*31(...)
constexpr size_t key_max = 256;
constexpr size_t value_max = 256;

constexpr bool lower_or_digit(uint8_t c) { return (c >= 'a' && c <= 'z') || ascii_digit(c); }

// Level 2, 3.3.1.3.1: key = (lcalpha / DIGIT) 0*255(lcalpha / DIGIT / _ - * / @)
bool valid_key(ByteView key) {
    if (key.empty() || key.size > key_max || !lower_or_digit(key[0])) return false;
    for (size_t i = 1; i < key.size; ++i) {
        const uint8_t c = key[i];
        if (!lower_or_digit(c) && c != '_' && c != '-' && c != '*' && c != '/' && c != '@')
            return false;
    }
    return true;
}

// Level 2, 3.3.1.3.2: value = 0*255(chr) nblk-chr, chr = printable ASCII but for ',' and '='.
// Blanks at the end have been trimmed as optional white space.
bool valid_value(ByteView value) {
    if (value.empty() || value.size > value_max) return false;
    for (size_t i = 0; i < value.size; ++i) {
        const uint8_t c = value[i];
        if (c < 0x20 || c > 0x7e || c == ',' || c == '=') return false;
    }
    return true;
}

size_t find(ByteView v, uint8_t c) {
    const void* at = v.empty() ? nullptr : memchr(v.data, c, v.size);
    return at == nullptr ? v.size : static_cast<size_t>(static_cast<const uint8_t*>(at) - v.data);
}

}  // namespace

bool parse_traceparent(ByteView value, SpanContext& out) noexcept {
    if (value.size < traceparent_size) return false;
    if (value[2] != '-' || value[35] != '-' || value[52] != '-') return false;
    uint8_t version = 0;
    SpanContext read;
    if (!read_hex(value.first(2), &version, 1) || version == 0xff) return false;
    if (!read_hex(value.slice(3, 32), read.trace_id.bytes, 16)) return false;
    if (!read_hex(value.slice(traceparent_span_offset, 16), read.span_id.bytes, 8)) return false;
    if (!read_hex(value.slice(traceparent_flags_offset, 2), &read.flags, 1)) return false;
    if (value.size > traceparent_size && (version == 0 || value[traceparent_size] != '-'))
        return false;
    if (!read.valid()) return false;
    read.flags &= flag_sampled | flag_random;
    out = read;
    return true;
}

void write_traceparent(const SpanContext& context, char* out) noexcept {
    memcpy(out, "00-", 3);
    write_hex(context.trace_id.bytes, 16, out + 3);
    out[35] = '-';
    write_hex(context.span_id.bytes, 8, out + traceparent_span_offset);
    out[52] = '-';
    write_hex(&context.flags, 1, out + traceparent_flags_offset);
}

bool valid_tracestate(ByteView list) noexcept {
    ByteView keys[members_max];
    unsigned key_count = 0;
    unsigned members = 0;
    while (true) {
        const size_t comma = find(list, ',');
        const ByteView member = trim_blanks(list.first(comma));
        if (++members > members_max) return false;  // empty ones are members of the grammar too
        if (!member.empty()) {
            const size_t equals = find(member, '=');
            const ByteView key = member.first(equals);
            if (equals == member.size || !valid_key(key) || !valid_value(member.from(equals + 1)))
                return false;
            for (unsigned i = 0; i < key_count; ++i)
                if (keys[i] == key) return false;
            keys[key_count++] = key;
        }
        if (comma == list.size) return true;
        list = list.from(comma + 1);
    }
}

}  // namespace remora
