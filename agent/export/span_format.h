// SPDX-License-Identifier: Apache-2.0
// Parts of a span as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "agent/span/span.h"

namespace remora {

// "850 ns", "12.4 ms", "1.20 s", "3 min 20 s": three significant digits.
std::string duration_text(uint64_t nanoseconds);
// "2026-01-31T12:00:00.123456Z"
std::string utc_text(uint64_t unix_ns);
// "SERVER"
const char* kind_text(SpanKind kind);
// Text, number, list as text. Not made printable.
std::string value_text(const AttributeValue& value);

template <typename Id>
std::string id_text(const Id& id) {
    std::string digits(2 * sizeof(id.bytes), '\0');
    write_hex(id.bytes, sizeof(id.bytes), digits.data());
    return digits;
}

}  // namespace remora
