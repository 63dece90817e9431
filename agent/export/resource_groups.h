// SPDX-License-Identifier: Apache-2.0
// A batch ordered by resource, as OTLP groups it.
#pragma once

#include <vector>

#include "agent/span/span.h"

namespace remora {

struct ResourceGroup {
    const Resource* resource;  // null: the span had none
    std::vector<const Span*> spans;
};

// In order of first appearance. Pointers into the batch.
std::vector<ResourceGroup> group_by_resource(const std::vector<Span>& spans);

// OTLP Span.flags: the W3C flags, then "is it known whether the parent is remote", and "it is".
constexpr uint32_t otlp_flag_has_is_remote = 0x100;
constexpr uint32_t otlp_flag_is_remote = 0x200;
inline uint32_t otlp_flags(const Span& span) {
    return span.trace_flags | otlp_flag_has_is_remote |
           (span.parent_is_remote ? otlp_flag_is_remote : 0u);
}

constexpr const char* scope_name = "remora";
constexpr const char* scope_version = REMORA_VERSION;
// Of resources and spans: the semantic conventions that they follow.
constexpr const char* schema_url = "https://opentelemetry.io/schemas/1.44.0";

}  // namespace remora
