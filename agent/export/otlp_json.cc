// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_json.h"

#include <nlohmann/json.hpp>

#include "agent/export/json_writer.h"
#include "agent/export/resource_groups.h"

namespace remora {
namespace {

using Json = nlohmann::json;

struct ValueWriter {
    JsonWriter& out;
    void operator()(const std::string& v) const {
        out.key("stringValue");
        out.text(v);
    }
    void operator()(int64_t v) const {
        out.key("intValue");
        out.number_text(v);
    }
    void operator()(double v) const {
        out.key("doubleValue");
        out.number(v);
    }
    void operator()(bool v) const {
        out.key("boolValue");
        out.boolean(v);
    }
    void operator()(const std::vector<std::string>& v) const {
        out.key("arrayValue");
        out.begin_object();
        out.key("values");
        out.begin_array();
        for (const std::string& text : v) {
            out.begin_object();
            (*this)(text);
            out.end_object();
        }
        out.end_array();
        out.end_object();
    }
};

void write_text(JsonWriter& out, const char* name, const std::string& value) {
    out.key(name);
    out.text(value);
}

void write_number_text(JsonWriter& out, const char* name, uint64_t value) {
    out.key(name);
    out.number_text(value);
}

template <typename Id>
void write_id(JsonWriter& out, const char* name, const Id& id) {
    out.key(name);
    out.hex(id.bytes, sizeof(id.bytes));
}

void write_attributes(JsonWriter& out, const std::vector<Attribute>& attributes) {
    out.key("attributes");
    out.begin_array();
    for (const Attribute& attribute : attributes) {
        out.begin_object();
        write_text(out, "key", attribute.key);
        out.key("value");
        out.begin_object();
        std::visit(ValueWriter{out}, attribute.value);
        out.end_object();
        out.end_object();
    }
    out.end_array();
}

void write_dropped(JsonWriter& out, const char* name, uint32_t count) {
    if (count == 0) return;
    out.key(name);
    out.number(count);
}

void write_events(JsonWriter& out, const Span& span) {
    if (span.events.empty()) return;
    out.key("events");
    out.begin_array();
    for (const SpanEvent& event : span.events) {
        out.begin_object();
        write_number_text(out, "timeUnixNano", event.time_unix_ns);
        write_text(out, "name", event.name);
        if (!event.attributes.empty()) write_attributes(out, event.attributes);
        write_dropped(out, "droppedAttributesCount", event.dropped_attributes);
        out.end_object();
    }
    out.end_array();
}

void write_links(JsonWriter& out, const Span& span) {
    if (span.links.empty()) return;
    out.key("links");
    out.begin_array();
    for (const SpanLink& link : span.links) {
        out.begin_object();
        write_id(out, "traceId", link.trace_id);
        write_id(out, "spanId", link.span_id);
        if (!link.trace_state.empty()) write_text(out, "traceState", link.trace_state);
        if (!link.attributes.empty()) write_attributes(out, link.attributes);
        write_dropped(out, "droppedAttributesCount", link.dropped_attributes);
        out.end_object();
    }
    out.end_array();
}

void write_status(JsonWriter& out, const Span& span) {
    out.key("status");
    out.begin_object();
    if (!span.status_message.empty()) write_text(out, "message", span.status_message);
    if (span.status != StatusCode::unset) {
        out.key("code");
        out.number(static_cast<uint32_t>(span.status));
    }
    out.end_object();
}

void write_span(JsonWriter& out, const Span& span) {
    out.begin_object();
    write_id(out, "traceId", span.trace_id);
    write_id(out, "spanId", span.span_id);
    if (!span.trace_state.empty()) write_text(out, "traceState", span.trace_state);
    if (span.parent_id.valid()) write_id(out, "parentSpanId", span.parent_id);
    out.key("flags");
    out.number(otlp_flags(span));
    write_text(out, "name", span.name);
    out.key("kind");
    out.number(static_cast<uint32_t>(span.kind));
    write_number_text(out, "startTimeUnixNano", span.start_unix_ns);
    write_number_text(out, "endTimeUnixNano", span.end_unix_ns);
    write_attributes(out, span.attributes);
    write_dropped(out, "droppedAttributesCount", span.dropped_attributes);
    write_events(out, span);
    write_dropped(out, "droppedEventsCount", span.dropped_events);
    write_links(out, span);
    write_dropped(out, "droppedLinksCount", span.dropped_links);
    write_status(out, span);
    out.end_object();
}

void write_group(JsonWriter& out, const ResourceGroup& group) {
    out.begin_object();
    out.key("resource");
    out.begin_object();
    if (group.resource != nullptr) write_attributes(out, group.resource->attributes);
    out.end_object();
    out.key("scopeSpans");
    out.begin_array();
    out.begin_object();
    out.key("scope");
    out.begin_object();
    write_text(out, "name", scope_name);
    write_text(out, "version", scope_version);
    out.end_object();
    out.key("spans");
    out.begin_array();
    for (const Span* span : group.spans) write_span(out, *span);
    out.end_array();
    write_text(out, "schemaUrl", schema_url);
    out.end_object();
    out.end_array();
    write_text(out, "schemaUrl", schema_url);
    out.end_object();
}

// A 64-bit integer is a string in this mapping; readers have to take a number too.
int64_t integer(const Json& value) {
    if (value.is_number_integer()) return value.get<int64_t>();
    if (!value.is_string()) return 0;
    return std::strtoll(value.get_ref<const std::string&>().c_str(), nullptr, 10);
}

std::string text(const Json& object, const char* member) {
    const auto found = object.find(member);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string encode_otlp_json(const std::vector<Span>& spans) {
    std::string text;
    text.reserve(spans.size() * 1536);
    JsonWriter out(text);
    out.begin_object();
    out.key("resourceSpans");
    out.begin_array();
    for (const ResourceGroup& group : group_by_resource(spans)) write_group(out, group);
    out.end_array();
    out.end_object();
    return text;
}

OtlpResponse decode_otlp_json_response(std::string_view body) {
    OtlpResponse response;
    const Json parsed = Json::parse(body, nullptr, false);
    if (!parsed.is_object()) return response;
    response.readable = true;
    const auto partial = parsed.find("partialSuccess");
    if (partial != parsed.end() && partial->is_object()) {
        const auto rejected = partial->find("rejectedSpans");
        if (rejected != partial->end()) response.rejected_spans = integer(*rejected);
        response.message = text(*partial, "errorMessage");
    } else {
        response.message = text(parsed, "message");
    }
    return response;
}

}  // namespace remora
