// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_protobuf.h"

#include <protozero/pbf_builder.hpp>
#include <protozero/pbf_message.hpp>

#include "agent/base/utf8.h"
#include "agent/export/resource_groups.h"

namespace remora {
namespace {

// Messages and their fields by the names of the .proto files; one enum per message.
// clang-format off
enum class Request : protozero::pbf_tag_type { resource_spans = 1 };
enum class ResourceSpans : protozero::pbf_tag_type {
    resource = 1, scope_spans = 2, schema_url = 3,
};
enum class ResourceMessage : protozero::pbf_tag_type { attributes = 1 };
enum class ScopeSpans : protozero::pbf_tag_type { scope = 1, spans = 2, schema_url = 3 };
enum class Scope : protozero::pbf_tag_type { name = 1, version = 2 };
enum class SpanMessage : protozero::pbf_tag_type {
    trace_id = 1, span_id = 2, trace_state = 3, parent_span_id = 4, name = 5, kind = 6,
    start_time_unix_nano = 7, end_time_unix_nano = 8, attributes = 9,
    dropped_attributes_count = 10, events = 11, dropped_events_count = 12, links = 13,
    dropped_links_count = 14, status = 15, flags = 16,
};
enum class Event : protozero::pbf_tag_type {
    time_unix_nano = 1, name = 2, attributes = 3, dropped_attributes_count = 4,
};
enum class Link : protozero::pbf_tag_type {
    trace_id = 1, span_id = 2, trace_state = 3, attributes = 4, dropped_attributes_count = 5,
};
enum class StatusMessage : protozero::pbf_tag_type { message = 2, code = 3 };
enum class KeyValue : protozero::pbf_tag_type { key = 1, value = 2 };
enum class AnyValue : protozero::pbf_tag_type {
    string_value = 1, bool_value = 2, int_value = 3, double_value = 4, array_value = 5,
};
enum class ArrayValue : protozero::pbf_tag_type { values = 1 };
enum class Response : protozero::pbf_tag_type { partial_success = 1 };
enum class PartialSuccess : protozero::pbf_tag_type { rejected_spans = 1, error_message = 2 };
enum class RpcStatus : protozero::pbf_tag_type { message = 2 };
// clang-format on

template <typename Tag>
using Writer = protozero::pbf_builder<Tag>;

// A field of a oneof is written even when it holds the default: a value of "" is not no value.
struct ValueWriter {
    Writer<AnyValue>& out;
    void operator()(const std::string& v) const { out.add_string(AnyValue::string_value, v); }
    void operator()(int64_t v) const { out.add_int64(AnyValue::int_value, v); }
    void operator()(double v) const { out.add_double(AnyValue::double_value, v); }
    void operator()(bool v) const { out.add_bool(AnyValue::bool_value, v); }
    void operator()(const std::vector<std::string>& v) const {
        Writer<ArrayValue> array(out, AnyValue::array_value);
        for (const std::string& text : v)
            Writer<AnyValue>(array, ArrayValue::values).add_string(AnyValue::string_value, text);
    }
};

template <typename Tag>
void write_attributes(const std::vector<Attribute>& attributes, Writer<Tag>& parent, Tag field) {
    for (const Attribute& attribute : attributes) {
        Writer<KeyValue> pair(parent, field);
        pair.add_string(KeyValue::key, attribute.key);
        Writer<AnyValue> value(pair, KeyValue::value);
        std::visit(ValueWriter{value}, attribute.value);
    }
}

template <typename Tag, typename Id>
void write_id(Writer<Tag>& out, Tag field, const Id& id) {
    out.add_bytes(field, reinterpret_cast<const char*>(id.bytes), sizeof(id.bytes));
}

template <typename Tag>
void write_dropped(Writer<Tag>& out, Tag field, uint32_t count) {
    if (count != 0) out.add_uint32(field, count);
}

void write_events(const Span& span, Writer<SpanMessage>& out) {
    for (const SpanEvent& event : span.events) {
        Writer<Event> message(out, SpanMessage::events);
        message.add_fixed64(Event::time_unix_nano, event.time_unix_ns);
        message.add_string(Event::name, event.name);
        write_attributes(event.attributes, message, Event::attributes);
        write_dropped(message, Event::dropped_attributes_count, event.dropped_attributes);
    }
}

void write_links(const Span& span, Writer<SpanMessage>& out) {
    for (const SpanLink& link : span.links) {
        Writer<Link> message(out, SpanMessage::links);
        write_id(message, Link::trace_id, link.trace_id);
        write_id(message, Link::span_id, link.span_id);
        if (!link.trace_state.empty()) message.add_string(Link::trace_state, link.trace_state);
        write_attributes(link.attributes, message, Link::attributes);
        write_dropped(message, Link::dropped_attributes_count, link.dropped_attributes);
    }
}

void write_status(const Span& span, Writer<SpanMessage>& out) {
    if (span.status == StatusCode::unset) return;
    Writer<StatusMessage> message(out, SpanMessage::status);
    if (!span.status_message.empty())
        message.add_string(StatusMessage::message, span.status_message);
    message.add_enum(StatusMessage::code, static_cast<int32_t>(span.status));
}

void write_span(const Span& span, Writer<ScopeSpans>& parent) {
    Writer<SpanMessage> out(parent, ScopeSpans::spans);
    write_id(out, SpanMessage::trace_id, span.trace_id);
    write_id(out, SpanMessage::span_id, span.span_id);
    if (!span.trace_state.empty()) out.add_string(SpanMessage::trace_state, span.trace_state);
    if (span.parent_id.valid()) write_id(out, SpanMessage::parent_span_id, span.parent_id);
    out.add_string(SpanMessage::name, span.name);
    out.add_enum(SpanMessage::kind, static_cast<int32_t>(span.kind));
    out.add_fixed64(SpanMessage::start_time_unix_nano, span.start_unix_ns);
    out.add_fixed64(SpanMessage::end_time_unix_nano, span.end_unix_ns);
    write_attributes(span.attributes, out, SpanMessage::attributes);
    write_dropped(out, SpanMessage::dropped_attributes_count, span.dropped_attributes);
    write_events(span, out);
    write_dropped(out, SpanMessage::dropped_events_count, span.dropped_events);
    write_links(span, out);
    write_dropped(out, SpanMessage::dropped_links_count, span.dropped_links);
    write_status(span, out);
    out.add_fixed32(SpanMessage::flags, otlp_flags(span));
}

void write_scope(Writer<ScopeSpans>& parent) {
    Writer<Scope> scope(parent, ScopeSpans::scope);
    scope.add_string(Scope::name, scope_name);
    scope.add_string(Scope::version, scope_version);
}

void write_scope_spans(const ResourceGroup& group, Writer<ResourceSpans>& parent) {
    Writer<ScopeSpans> scope_spans(parent, ResourceSpans::scope_spans);
    write_scope(scope_spans);
    for (const Span* span : group.spans) write_span(*span, scope_spans);
    scope_spans.add_string(ScopeSpans::schema_url, schema_url);
}

void write_group(const ResourceGroup& group, Writer<Request>& parent) {
    Writer<ResourceSpans> resource_spans(parent, Request::resource_spans);
    if (group.resource != nullptr) {
        Writer<ResourceMessage> resource(resource_spans, ResourceSpans::resource);
        write_attributes(group.resource->attributes, resource, ResourceMessage::attributes);
    }
    write_scope_spans(group, resource_spans);
    resource_spans.add_string(ResourceSpans::schema_url, schema_url);
}

}  // namespace

std::string encode_otlp_protobuf(const std::vector<Span>& spans) {
    std::string body;
    body.reserve(spans.size() * 768);
    Writer<Request> request(body);
    for (const ResourceGroup& group : group_by_resource(spans)) write_group(group, request);
    return body;
}

OtlpResponse decode_otlp_response(std::string_view body) try {
    OtlpResponse response;
    protozero::pbf_message<Response> message(body.data(), body.size());
    while (message.next()) {
        if (message.tag() != Response::partial_success ||
            message.wire_type() != protozero::pbf_wire_type::length_delimited) {
            message.skip();
            continue;
        }
        protozero::pbf_message<PartialSuccess> partial(message.get_message());
        while (partial.next()) {
            switch (partial.tag_and_type()) {
                case protozero::tag_and_type(PartialSuccess::rejected_spans,
                                             protozero::pbf_wire_type::varint):
                    response.rejected_spans = partial.get_int64();
                    break;
                case protozero::tag_and_type(PartialSuccess::error_message,
                                             protozero::pbf_wire_type::length_delimited):
                    response.message = sanitize_utf8(partial.get_string());
                    break;
                default: partial.skip();
            }
        }
    }
    response.readable = true;
    return response;
} catch (const std::exception&) {  // protozero: not protobuf
    return {};
}

OtlpResponse decode_otlp_status(std::string_view body) try {
    OtlpResponse response;
    protozero::pbf_message<RpcStatus> message(body.data(), body.size());
    while (message.next()) {
        if (message.tag_and_type() ==
            protozero::tag_and_type(RpcStatus::message, protozero::pbf_wire_type::length_delimited))
            response.message = sanitize_utf8(message.get_string());
        else
            message.skip();
    }
    response.readable = true;
    return response;
} catch (const std::exception&) {
    return {};
}

}  // namespace remora
