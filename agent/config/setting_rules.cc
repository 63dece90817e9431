// SPDX-License-Identifier: Apache-2.0
#include "agent/config/setting_rules.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "agent/base/bytes.h"
#include "agent/base/key_value_list.h"
#include "agent/base/text.h"
#include "agent/config/listen_address.h"
#include "agent/config/otlp_endpoint.h"
#include "agent/config/parse_value.h"

namespace remora::rule {
namespace {

constexpr uint64_t day_ms = 24ull * 3600 * 1000;
constexpr uint64_t count_limit = 10'000'000;

// Assigns what a parser found to one field of the draft, or passes its error on.
template <typename T, typename Field>
Status take(Result<T> parsed, Field& field) {
    if (!parsed) return parsed.error();
    field = Field(std::move(*parsed));
    return Done{};
}

// Values of enumerations are read in any case (specification, "Enum").
bool is(std::string_view text, std::string_view name) { return equals_ignoring_case(text, name); }

bool is_any(std::string_view text, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names)
        if (is(text, name)) return true;
    return false;
}

}  // namespace

Status log_level(std::string_view text, ConfigDraft& draft) {
    for (const char* level : {"trace", "debug", "info", "warn", "error", "none"})
        if (is(text, level)) {
            draft.config.log_level = level;
            return Done{};
        }
    return Error{"must be trace, debug, info, warn, error or none"};
}

Status resource_attributes(std::string_view text, ConfigDraft& draft) {
    if (const auto parsed = parse_key_value_list(text); !parsed)
        return Error{"must be key=value,key=value with %XX for ',', '=' and '%': " +
                     parsed.error().text()};
    draft.config.resource_attributes = text;
    return Done{};
}

// W3C Trace Context is what travels; baggage is the program's own header, which nobody takes away.
Status propagators(std::string_view text, ConfigDraft& draft) {
    bool trace_context = false, others = false;
    std::string unsupported;
    for (const std::string_view name : split_list(text, ',')) {
        if (is(name, "tracecontext")) {
            trace_context = true;
        } else if (is_any(name, {"b3", "b3multi", "jaeger", "ottrace", "xray"})) {
            unsupported += (unsupported.empty() ? "" : ", ") + std::string(name);
        } else if (is_any(name, {"none", "baggage"})) {
            others = true;
        } else {
            return Error{"must be tracecontext, baggage, none or a list of them"};
        }
    }
    draft.config.propagate = trace_context || !others || !unsupported.empty();
    if (!unsupported.empty())
        draft.notes.push_back("names " + unsupported +
                              ", which is not supported; using tracecontext");
    return Done{};
}

Status sampler(std::string_view text, ConfigDraft& draft) {
    if (parse_sampler_name(ByteView(text.data(), text.size()), draft.config.sampler.kind))
        return Done{};
    return Error{
        "must be always_on, always_off, traceidratio, parentbased_always_on, "
        "parentbased_always_off or parentbased_traceidratio"};
}

Status sampler_argument(std::string_view text, ConfigDraft& draft) {
    if (parse_ratio(ByteView(text.data(), text.size()), draft.sampler_ratio)) return Done{};
    return Error{"must be a number from 0 to 1"};
}

Status exporters(std::string_view text, ConfigDraft& draft) {
    bool otlp = false, zipkin = false, console = false;
    for (const std::string_view name : split_list(text, ',')) {
        if (is(name, "otlp")) {
            otlp = true;
        } else if (is(name, "zipkin")) {
            zipkin = true;
        } else if (is(name, "console")) {
            console = true;
        } else if (!is(name, "none")) {
            return Error{"must be otlp, zipkin, console, none or a list of them"};
        }
    }
    draft.exporters_given = true;
    draft.config.otlp.enabled = otlp;
    draft.config.zipkin.enabled = zipkin;
    draft.config.console = console;
    return Done{};
}

Status view(std::string_view text, ConfigDraft& draft) {
    if (text == "auto") return Done{};
    if (text == "waterfall") {
        draft.config.view = View::waterfall;
    } else if (text == "live") {
        draft.config.view = View::live;
    } else if (text == "none") {
        draft.config.view = View::none;
    } else {
        return Error{"must be auto, waterfall, live or none"};
    }
    draft.view_given = true;
    return Done{};
}

Status known_methods(std::string_view text, ConfigDraft& draft) {
    draft.config.http_known_methods.clear();
    for (const std::string_view method : split_list(text, ','))
        draft.config.http_known_methods.emplace_back(method);
    return Done{};
}

// Spans always follow the stable conventions; nothing older is ever emitted beside them.
Status stability(std::string_view text, ConfigDraft& draft) {
    for (const std::string_view name : split_list(text, ',')) {
        if (name.size() <= 4 || name.substr(name.size() - 4) != "/dup") continue;
        draft.notes.push_back("names " + std::string(name) +
                              ", which is not supported; using the stable conventions alone");
        break;
    }
    return Done{};
}

Status named_fields(std::string_view text, ConfigDraft& draft, uint8_t where) {
    auto& fields = draft.config.named_fields;
    for (const std::string_view name : split_list(text, ',')) {
        if (!is_token(name) || name.size() > REMORA_NAMED_FIELD_BYTES)
            return Error{"must be a list of header names of at most 56 characters each"};
        remora_named_field field{};
        field.size = static_cast<uint8_t>(name.size());
        for (size_t i = 0; i < name.size(); ++i)
            field.name[i] = static_cast<char>(ascii_lower(static_cast<uint8_t>(name[i])));
        const auto same = [&field](const remora_named_field& other) {
            return memcmp(other.name, field.name, sizeof(field.name)) == 0;
        };
        const auto known = std::find_if(fields.begin(), fields.end(), same);
        if (known != fields.end()) {
            known->where = static_cast<uint8_t>(known->where | where);
        } else if (fields.size() < REMORA_NAMED_FIELDS_MAX) {
            field.where = where;
            fields.push_back(field);
        } else {
            draft.notes.push_back("goes beyond 32 headers in all settings; using the first 32");
            break;
        }
    }
    return Done{};
}

Status otlp_protocol(std::string_view text, ConfigDraft& draft) {
    OtlpProtocol& protocol = draft.config.otlp.protocol;
    if (is(text, "http/protobuf")) {
        protocol = OtlpProtocol::http_protobuf;
    } else if (is(text, "http/json")) {
        protocol = OtlpProtocol::http_json;
    } else if (is(text, "grpc")) {
        protocol = OtlpProtocol::grpc;
    } else {
        return Error{"must be http/protobuf, http/json or grpc"};
    }
    return Done{};
}

Status otlp_compression(std::string_view text, ConfigDraft& draft) {
    if (!is_any(text, {"none", "gzip"})) return Error{"must be gzip or none"};
    draft.config.otlp.compression = is(text, "gzip") ? Compression::gzip : Compression::none;
    return Done{};
}

Status metrics_listen(std::string_view text, ConfigDraft& draft) {
    if (const auto address = parse_listen_address(text); !address) return address.error();
    draft.config.metrics_listen = text;
    return Done{};
}

Status batch_size(std::string_view text, ConfigDraft& draft) {
    draft.batch_size_given = true;
    return count(text, draft.config.batch.max_export_batch_size, 1);
}

Status no_file(std::string_view, ConfigDraft&) {
    return Error{"is a configuration file, which is not supported"};
}

Status no_entities(std::string_view, ConfigDraft&) {
    return Error{"is a list of entities, which is not supported (OTEL_RESOURCE_ATTRIBUTES is)"};
}

Status text(std::string_view value, std::string& field) {
    field = value;
    return Done{};
}

Status url(std::string_view text, std::string& field) { return take(parse_http_url(text), field); }

Status otlp_endpoints(std::string_view text, std::string& field) {
    const auto endpoints = split_list(text, ',');
    if (endpoints.empty()) return parse_otlp_endpoint(text).error();
    for (const std::string_view endpoint : endpoints)
        if (auto parsed = parse_otlp_endpoint(endpoint); !parsed) return parsed.error();
    field = text;
    return Done{};
}

Status otlp_endpoint(std::string_view text, std::string& field) {
    return take(parse_otlp_endpoint(text), field);
}

Status own_boolean(std::string_view text, bool& field) {
    return take(parse_own_boolean(text), field);
}

Status otel_boolean(std::string_view text, bool& field) {
    return take(parse_otel_boolean(text), field);
}

// Looked at when the agent starts: later nobody sits in front of the message.
Status readable_file(std::string_view path, std::string& field) {
    field = path;
    if (::access(field.c_str(), R_OK) == 0) return Done{};
    return Error{"must be a PEM file that can be read"};
}

Status timeout(std::string_view text, std::chrono::milliseconds& field) {
    if (const Status status = delay(text, field); !status) return status;
    if (field.count() == 0) field = std::chrono::milliseconds(day_ms);
    return Done{};
}

Status delay(std::string_view text, std::chrono::milliseconds& field) {
    auto parsed = parse_whole_number(text, 0, day_ms);
    if (!parsed) return Error{parsed.error().message + " (milliseconds)"};
    field = std::chrono::milliseconds(*parsed);
    return Done{};
}

Status seconds(std::string_view text, std::chrono::seconds& field, uint64_t least) {
    auto parsed = parse_whole_number(text, least, day_ms / 1000);
    if (!parsed) return Error{parsed.error().message + " (seconds)"};
    field = std::chrono::seconds(*parsed);
    return Done{};
}

Status count(std::string_view text, size_t& field, uint64_t least) {
    return take(parse_whole_number(text, least, count_limit), field);
}

Status bytes(std::string_view text, size_t& field) {
    return take(parse_whole_number(text, 1ull << 16, 1ull << 40), field);
}

Status lanes(std::string_view text, uint32_t& field) {
    return take(parse_whole_number(text, 1, REMORA_LANES_MAX), field);
}

// The exporter says itself what the body is, and once.
Status headers(std::string_view text, ConfigDraft& draft) {
    auto parsed = parse_headers(text);
    if (!parsed) return parsed.error();
    for (auto& [name, value] : *parsed) {
        if (is_any(name,
                   {"content-type", "content-encoding", "content-length", "transfer-encoding"}))
            draft.notes.push_back("names " + name + ", which the exporter sets itself; left out");
        else
            draft.config.otlp.headers.emplace_back(std::move(name), std::move(value));
    }
    return Done{};
}

}  // namespace remora::rule
