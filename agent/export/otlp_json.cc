// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "agent/base/utf8.h"
#include "agent/context/ids.h"
#include "agent/export/resource_groups.h"

namespace remora {
namespace {

// Keeps the order in which members are set: a person may read the file.
using Json = nlohmann::ordered_json;

template <typename Id>
std::string hex(const Id& id) {
    std::string digits(2 * sizeof(id.bytes), '\0');
    write_hex(id.bytes, sizeof(id.bytes), digits.data());
    return digits;
}

// JSON has no NaN and no infinity; the mapping of protobuf spells them.
Json number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
}

struct ValueWriter {
    Json operator()(const std::string& v) const { return {{"stringValue", v}}; }
    Json operator()(int64_t v) const { return {{"intValue", std::to_string(v)}}; }
    Json operator()(double v) const { return {{"doubleValue", number(v)}}; }
    Json operator()(bool v) const { return {{"boolValue", v}}; }
    Json operator()(const std::vector<std::string>& v) const {
        Json values = Json::array();
        for (const std::string& text : v) values.push_back({{"stringValue", text}});
        return {{"arrayValue", {{"values", std::move(values)}}}};
    }
};

Json attributes_json(const std::vector<Attribute>& attributes) {
    Json list = Json::array();
    for (const Attribute& attribute : attributes) {
        Json pair = Json::object();
        pair["key"] = attribute.key;
        pair["value"] = std::visit(ValueWriter{}, attribute.value);
        list.push_back(std::move(pair));
    }
    return list;
}

Json events_json(const Span& span) {
    Json list = Json::array();
    for (const SpanEvent& event : span.events) {
        Json item = Json::object();
        item["timeUnixNano"] = std::to_string(event.time_unix_ns);
        item["name"] = event.name;
        if (!event.attributes.empty()) item["attributes"] = attributes_json(event.attributes);
        list.push_back(std::move(item));
    }
    return list;
}

Json links_json(const Span& span) {
    Json list = Json::array();
    for (const SpanLink& link : span.links) {
        Json item = Json::object();
        item["traceId"] = hex(link.trace_id);
        item["spanId"] = hex(link.span_id);
        if (!link.trace_state.empty()) item["traceState"] = link.trace_state;
        if (!link.attributes.empty()) item["attributes"] = attributes_json(link.attributes);
        list.push_back(std::move(item));
    }
    return list;
}

Json status_json(const Span& span) {
    Json status = Json::object();
    if (!span.status_message.empty()) status["message"] = span.status_message;
    if (span.status != StatusCode::unset) status["code"] = static_cast<int>(span.status);
    return status;
}

Json span_json(const Span& span) {
    Json out = Json::object();
    out["traceId"] = hex(span.trace_id);
    out["spanId"] = hex(span.span_id);
    if (!span.trace_state.empty()) out["traceState"] = span.trace_state;
    if (span.parent_id.valid()) out["parentSpanId"] = hex(span.parent_id);
    out["flags"] = otlp_flags(span);
    out["name"] = span.name;
    out["kind"] = static_cast<int>(span.kind);
    out["startTimeUnixNano"] = std::to_string(span.start_unix_ns);
    out["endTimeUnixNano"] = std::to_string(span.end_unix_ns);
    out["attributes"] = attributes_json(span.attributes);
    if (!span.events.empty()) out["events"] = events_json(span);
    if (!span.links.empty()) out["links"] = links_json(span);
    out["status"] = status_json(span);
    return out;
}

Json group_json(const ResourceGroup& group) {
    Json scope_spans = Json::object();
    scope_spans["scope"] = {{"name", scope_name}, {"version", scope_version}};
    Json& list = scope_spans["spans"] = Json::array();
    for (const Span* span : group.spans) list.push_back(span_json(*span));
    Json out = Json::object();
    Json resource = Json::object();
    if (group.resource != nullptr)
        resource["attributes"] = attributes_json(group.resource->attributes);
    out["resource"] = std::move(resource);
    out["scopeSpans"] = Json::array({std::move(scope_spans)});
    return out;
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
    Json groups = Json::array();
    for (const ResourceGroup& group : group_by_resource(spans)) groups.push_back(group_json(group));
    Json request = Json::object();
    request["resourceSpans"] = std::move(groups);
    // `replace` so that a text that slipped through is mended instead of thrown at.
    return request.dump(-1, ' ', false, Json::error_handler_t::replace);
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
