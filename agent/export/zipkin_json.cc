// SPDX-License-Identifier: Apache-2.0
#include "agent/export/zipkin_json.h"

#include <algorithm>

#include "agent/export/json_writer.h"
#include "agent/export/resource_groups.h"
#include "agent/export/span_format.h"

namespace remora {
namespace {

template <typename Id>
void write_id(JsonWriter& out, const char* name, const Id& id) {
    out.key(name);
    out.hex(id.bytes, sizeof(id.bytes));
}

void write_text(JsonWriter& out, const char* name, const std::string& value) {
    out.key(name);
    out.text(value);
}

void write_microseconds(JsonWriter& out, const char* name, uint64_t value) {
    out.key(name);
    out.number(value);
}

// Tags are texts; a list is a JSON array in one.
std::string tag_text(const AttributeValue& value) {
    const auto* list = std::get_if<std::vector<std::string>>(&value);
    if (list == nullptr) return value_text(value);
    std::string text;
    JsonWriter out(text);
    out.begin_array();
    for (const std::string& item : *list) out.text(item);
    out.end_array();
    return text;
}

void write_tags_of(JsonWriter& out, const std::vector<Attribute>& attributes) {
    for (const Attribute& attribute : attributes) {
        if (attribute.key == "service.name") continue;
        out.key_text(attribute.key);
        out.text(tag_text(attribute.value));
    }
}

void write_tags(JsonWriter& out, const Span& span) {
    out.key("tags");
    out.begin_object();
    if (span.resource) write_tags_of(out, span.resource->attributes);
    write_tags_of(out, span.attributes);
    write_text(out, "otel.scope.name", scope_name);
    write_text(out, "otel.scope.version", scope_version);
    if (span.status == StatusCode::ok) write_text(out, "otel.status_code", "OK");
    if (span.status == StatusCode::error) {
        write_text(out, "otel.status_code", "ERROR");
        write_text(out, "error", span.status_message);
    }
    out.end_object();
}

// "name", or "name": {"key": "value"} where there are attributes.
std::string annotation_text(const SpanEvent& event) {
    if (event.attributes.empty()) return event.name;
    std::string text;
    JsonWriter out(text);
    out.begin_object();
    out.key_text(event.name);
    out.begin_object();
    for (const Attribute& attribute : event.attributes) {
        out.key_text(attribute.key);
        out.text(tag_text(attribute.value));
    }
    out.end_object();
    out.end_object();
    return text.substr(1, text.size() - 2);  // without the outer braces
}

void write_annotations(JsonWriter& out, const Span& span) {
    if (span.events.empty()) return;
    out.key("annotations");
    out.begin_array();
    for (const SpanEvent& event : span.events) {
        out.begin_object();
        write_microseconds(out, "timestamp", event.time_unix_ns / 1000);
        write_text(out, "value", annotation_text(event));
        out.end_object();
    }
    out.end_array();
}

const AttributeValue* find(const std::vector<Attribute>& attributes, std::string_view key) {
    for (const Attribute& attribute : attributes)
        if (attribute.key == key) return &attribute.value;
    return nullptr;
}

void write_endpoints(JsonWriter& out, const Span& span) {
    const std::string* service = span.resource ? span.resource->text("service.name") : nullptr;
    out.key("localEndpoint");
    out.begin_object();
    if (service != nullptr) write_text(out, "serviceName", *service);
    out.end_object();
    if (span.kind != SpanKind::client && span.kind != SpanKind::producer) return;
    const AttributeValue* peer = find(span.attributes, "server.address");
    if (peer == nullptr) return;
    out.key("remoteEndpoint");
    out.begin_object();
    write_text(out, "serviceName", value_text(*peer));
    const AttributeValue* port = find(span.attributes, "server.port");
    const auto* number = port == nullptr ? nullptr : std::get_if<int64_t>(port);
    if (number != nullptr && *number > 0 && *number < 65536)
        write_microseconds(out, "port", static_cast<uint64_t>(*number));
    out.end_object();
}

void write_span(JsonWriter& out, const Span& span) {
    out.begin_object();
    write_id(out, "traceId", span.trace_id);
    write_id(out, "id", span.span_id);
    if (span.parent_id.valid()) write_id(out, "parentId", span.parent_id);
    write_text(out, "name", span.name);
    if (span.kind != SpanKind::internal) write_text(out, "kind", kind_text(span.kind));
    write_microseconds(out, "timestamp", span.start_unix_ns / 1000);
    // 0 would be "unknown".
    const uint64_t length =
        span.end_unix_ns > span.start_unix_ns ? span.end_unix_ns - span.start_unix_ns : 0;
    write_microseconds(out, "duration", std::max<uint64_t>((length + 500) / 1000, 1));
    write_endpoints(out, span);
    write_annotations(out, span);
    write_tags(out, span);
    out.end_object();
}

}  // namespace

std::string encode_zipkin_json(const std::vector<Span>& spans) {
    std::string text;
    text.reserve(spans.size() * 1536);
    JsonWriter out(text);
    out.begin_array();
    for (const Span& span : spans) write_span(out, span);
    out.end_array();
    return text;
}

}  // namespace remora
