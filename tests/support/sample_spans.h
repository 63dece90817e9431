// SPDX-License-Identifier: Apache-2.0
// Spans for tests of what comes after the span builder.
#pragma once

#include <cstring>
#include <memory>
#include <string>

#include "agent/span/span.h"

namespace remora::test {

inline TraceId trace_id_of(uint8_t n) {
    TraceId id;
    memset(id.bytes, n, sizeof(id.bytes));
    return id;
}

inline SpanId span_id_of(uint8_t n) {
    SpanId id;
    memset(id.bytes, n, sizeof(id.bytes));
    return id;
}

inline std::shared_ptr<const Resource> resource_of(const std::string& service) {
    auto resource = std::make_shared<Resource>();
    resource->attributes.push_back({"service.name", service});
    return resource;
}

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t base_time_ns = 1'700'000'000 * second_ns;  // 2023-11-14T22:13:20Z

// A span without attributes; times in milliseconds after base_time_ns.
inline Span make_span(uint8_t trace, uint8_t id, uint8_t parent, SpanKind kind, std::string name,
                      uint64_t start_ms, uint64_t end_ms,
                      std::shared_ptr<const Resource> resource) {
    Span span;
    span.trace_id = trace_id_of(trace);
    span.span_id = span_id_of(id);
    if (parent != 0) span.parent_id = span_id_of(parent);
    span.trace_flags = 1;
    span.kind = kind;
    span.name = std::move(name);
    span.start_unix_ns = base_time_ns + start_ms * 1'000'000;
    span.end_unix_ns = base_time_ns + end_ms * 1'000'000;
    span.resource = std::move(resource);
    return span;
}

// Uses every field that a span has.
inline Span full_span(std::shared_ptr<const Resource> resource) {
    Span span = make_span(0xa1, 0xb2, 0xc3, SpanKind::client, "GET", 0, 1500, std::move(resource));
    span.trace_flags = 3;
    span.parent_is_remote = true;
    span.trace_state = "vendor=1,other=2";
    span.attributes = {{"text", "grüße"},
                       {"empty", ""},
                       {"number", int64_t{-42}},
                       {"large", int64_t{9007199254740993}},
                       {"fraction", 0.25},
                       {"yes", true},
                       {"no", false},
                       {"list", std::vector<std::string>{"a", ""}}};
    span.events.push_back({base_time_ns + 7, "first_byte", {{"k", "v"}}});
    span.links.push_back({trace_id_of(0xd4), span_id_of(0xe5), "l=1", {{"why", "batch"}}});
    span.dropped_attributes = 1;
    span.dropped_events = 2;
    span.dropped_links = 3;
    span.events[0].dropped_attributes = 4;
    span.links[0].dropped_attributes = 5;
    span.status = StatusCode::error;
    span.status_message = "it broke";
    return span;
}

}  // namespace remora::test
