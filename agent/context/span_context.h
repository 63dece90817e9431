// SPDX-License-Identifier: Apache-2.0
// The context that travels between services, as W3C Trace Context Level 2 defines it
// (https://www.w3.org/TR/trace-context-2/). Built into the shim: no allocation, noexcept.
#pragma once

#include "agent/base/bytes.h"
#include "agent/context/ids.h"

namespace remora {

constexpr uint8_t flag_sampled = 0x01;
constexpr uint8_t flag_random = 0x02;  // Level 2, 3.2.2.5.2: the low 56 bits of the id are random

struct SpanContext {
    TraceId trace_id;
    SpanId span_id;  // of the span that sent it: the parent of whoever receives it
    uint8_t flags = 0;

    [[nodiscard]] bool valid() const { return trace_id.valid() && span_id.valid(); }
    [[nodiscard]] bool sampled() const { return (flags & flag_sampled) != 0; }
};

constexpr size_t traceparent_size = 55;
// Within a traceparent: where the id of the sending span stands, and the flags.
constexpr size_t traceparent_span_offset = 36;
constexpr size_t traceparent_flags_offset = 53;

// Parses a traceparent value, already freed from optional white space. Version 00 is exactly 55
// bytes; a higher version is read by the rules of 00 and may go on after a '-' (Level 2, 4.3);
// ff, zero ids, upper-case digits are invalid. Unknown flag bits are dropped. false: invalid.
bool parse_traceparent(ByteView value, SpanContext& out) noexcept;

// Writes 55 bytes of version 00, no NUL.
void write_traceparent(const SpanContext& context, char* out) noexcept;

// Does this whole list, already combined from all its lines by ',', keep the rules: at most 32
// members, Level 2 keys and values, no key twice, empty members allowed? A list that doesn't is
// dropped as a whole (Level 2, 3.3.1). An empty list is valid.
bool valid_tracestate(ByteView list) noexcept;

}  // namespace remora
