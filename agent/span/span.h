// SPDX-License-Identifier: Apache-2.0
// A span as OpenTelemetry defines it, on its way to the exporters. A value: copied or moved.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/context/ids.h"
#include "agent/protocol/description.h"

namespace remora {

// What a span came from: service.*, process.*, telemetry.*. Shared by the spans of one process.
struct Resource {
    std::vector<Attribute> attributes;
    [[nodiscard]] const std::string* text(std::string_view key) const {
        for (const Attribute& a : attributes)
            if (a.key == key) return std::get_if<std::string>(&a.value);
        return nullptr;
    }
};

enum class SpanKind : uint8_t { internal = 1, server = 2, client = 3, producer = 4, consumer = 5 };

struct SpanEvent {
    uint64_t time_unix_ns = 0;
    std::string name;
    std::vector<Attribute> attributes;
    uint32_t dropped_attributes = 0;  // by a limit
};

struct SpanLink {
    TraceId trace_id;
    SpanId span_id;
    std::string trace_state;
    std::vector<Attribute> attributes;
    uint32_t dropped_attributes = 0;
};

struct Span {
    TraceId trace_id;
    SpanId span_id;
    SpanId parent_id;  // zero: a root
    uint8_t trace_flags = 0;
    bool parent_is_remote = false;  // the parent is in another process
    std::string trace_state;
    std::string name;
    SpanKind kind = SpanKind::internal;
    uint64_t start_unix_ns = 0;
    uint64_t end_unix_ns = 0;
    std::vector<Attribute> attributes;
    std::vector<SpanEvent> events;
    std::vector<SpanLink> links;
    uint32_t dropped_attributes = 0;  // by a limit, as the next two
    uint32_t dropped_events = 0;
    uint32_t dropped_links = 0;
    StatusCode status = StatusCode::unset;
    std::string status_message;
    std::shared_ptr<const Resource> resource;
};

}  // namespace remora
