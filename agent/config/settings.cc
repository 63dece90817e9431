// SPDX-License-Identifier: Apache-2.0
#include "agent/config/settings.h"

#include "agent/base/bytes.h"
#include "agent/base/text.h"
#include "agent/config/parse_value.h"

namespace remora {
namespace {

constexpr uint64_t day_ms = 24ull * 3600 * 1000;
constexpr uint64_t queue_limit = 10'000'000;

// Assigns what a parser found to one field of the draft, or passes its error on.
template <typename T, typename Field>
Status take(Result<T> parsed, Field& field) {
    if (!parsed) return parsed.error();
    field = Field(std::move(*parsed));
    return Done{};
}

Status milliseconds(std::string_view text, std::chrono::milliseconds& field, uint64_t least) {
    auto parsed = parse_whole_number(text, least, day_ms);
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

Status log_level(std::string_view text, ConfigDraft& draft) {
    for (const char* level : {"trace", "debug", "info", "warn", "error", "none"})
        if (equals_ignoring_case(text, level)) {
            draft.config.log_level = level;
            return Done{};
        }
    return Error{"must be trace, debug, info, warn, error or none"};
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
    bool otlp = false, console = false;
    for (const std::string_view name : split_list(text, ',')) {
        if (name == "otlp") {
            otlp = true;
        } else if (name == "console") {
            console = true;
        } else if (name != "none") {
            return Error{"must be otlp, console, none or a list of them"};
        }
    }
    draft.exporters_given = true;
    draft.config.otlp.enabled = otlp;
    draft.config.console = console;
    return Done{};
}

Status protocol(std::string_view text, ConfigDraft& draft) {
    draft.config.otlp.protocol =
        text == "http/json" ? OtlpProtocol::http_json : OtlpProtocol::http_protobuf;
    if (text == "http/json" || text == "http/protobuf") return Done{};
    if (text != "grpc") return Error{"must be http/protobuf or http/json"};
    draft.notes.push_back(
        "OTLP over grpc is not supported; sending http/protobuf instead: set the endpoint to the "
        "collector's HTTP port (usually 4318)");
    return Done{};
}

Status compression(std::string_view text, ConfigDraft& draft) {
    if (text == "none") return Done{};
    if (text != "gzip") return Error{"must be none"};
    draft.notes.push_back("OTLP compression gzip is not supported; sending uncompressed");
    return Done{};
}

Status batch_size(std::string_view text, ConfigDraft& draft) {
    draft.batch_size_given = true;
    return take(parse_whole_number(text, 1, queue_limit), draft.config.batch.max_export_batch_size);
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

Status text(std::string_view value, std::string& field) {
    field = value;
    return Done{};
}

using Text = std::string_view;
using Draft = ConfigDraft;

// clang-format off
const std::vector<Setting>& table() {
    static const std::vector<Setting> rows = {
        {"disabled", {"REMORA_DISABLE"}, "false",
         [](Text v, Draft& d) { return take(parse_own_boolean(v), d.config.disabled); }},
        {"sdk.disabled", {"OTEL_SDK_DISABLED"}, "false",
         [](Text v, Draft& d) { return take(parse_otel_boolean(v), d.config.sdk_disabled); }},
        {"log.level", {"OTEL_LOG_LEVEL"}, "info", log_level},
        {"service.name", {"OTEL_SERVICE_NAME"}, "(the program's name)",
         [](Text v, Draft& d) { return text(v, d.config.service_name); }},
        {"resource.attributes", {"OTEL_RESOURCE_ATTRIBUTES"}, "",
         [](Text v, Draft& d) { return text(v, d.config.resource_attributes); }},
        {"sampler", {"OTEL_TRACES_SAMPLER"}, "parentbased_always_on", sampler},
        {"sampler.argument", {"OTEL_TRACES_SAMPLER_ARG"}, "1.0", sampler_argument},
        {"exporters", {"OTEL_TRACES_EXPORTER"}, "(otlp where an endpoint is given)", exporters},
        {"otlp.endpoint", {"OTEL_EXPORTER_OTLP_ENDPOINT"}, "http://localhost:4318",
         [](Text v, Draft& d) { return take(parse_http_url(v), d.otlp_endpoint); }},
        {"otlp.traces_endpoint", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
         "(otlp.endpoint)/v1/traces",
         [](Text v, Draft& d) { return take(parse_http_url(v), d.otlp_traces_endpoint); }},
        {"otlp.protocol", {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"},
         "http/protobuf", protocol},
        {"otlp.headers", {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}, "",
         [](Text v, Draft& d) { return take(parse_headers(v), d.config.otlp.headers); }, true},
        {"otlp.timeout", {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"},
         "10000", [](Text v, Draft& d) { return milliseconds(v, d.config.otlp.timeout, 1); }},
        {"otlp.compression",
         {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"}, "none",
         compression},
        {"otlp.certificate",
         {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"}, "",
         [](Text v, Draft& d) { return text(v, d.config.otlp.certificate); }},
        {"otlp.client_certificate",
         {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
         "", [](Text v, Draft& d) { return text(v, d.config.otlp.client_certificate); }},
        {"otlp.client_key",
         {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"}, "",
         [](Text v, Draft& d) { return text(v, d.config.otlp.client_key); }},
        {"batch.schedule_delay", {"OTEL_BSP_SCHEDULE_DELAY"}, "5000",
         [](Text v, Draft& d) { return milliseconds(v, d.config.batch.schedule_delay, 0); }},
        {"batch.export_timeout", {"OTEL_BSP_EXPORT_TIMEOUT"}, "30000",
         [](Text v, Draft& d) { return milliseconds(v, d.config.batch.export_timeout, 1); }},
        {"batch.max_queue_size", {"OTEL_BSP_MAX_QUEUE_SIZE"}, "65536",
         [](Text v, Draft& d) {
             return take(parse_whole_number(v, 1, queue_limit), d.config.batch.max_queue_size);
         }},
        {"batch.max_export_batch_size", {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE"}, "512", batch_size},
        {"output", {"REMORA_OUTPUT"}, "",
         [](Text v, Draft& d) { return text(v, d.config.output); }},
        {"view", {"REMORA_VIEW"}, "auto", view},
        {"view.file", {"REMORA_VIEW_FILE"}, "(stderr)",
         [](Text v, Draft& d) { return text(v, d.config.view_file); }},
        {"idle_limit", {"REMORA_IDLE_LIMIT"}, "300",
         [](Text v, Draft& d) { return seconds(v, d.config.idle_limit, 1); }},
        {"drain_timeout", {"REMORA_DRAIN_TIMEOUT"}, "5",
         [](Text v, Draft& d) { return seconds(v, d.config.drain_timeout, 0); }},
        {"lanes", {"REMORA_LANES"}, "512",
         [](Text v, Draft& d) {
             return take(parse_whole_number(v, 1, REMORA_LANES_MAX), d.config.lanes);
         }},
        {"http.known_methods", {"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"},
         "(those of the conventions)", known_methods},
    };
    return rows;
}
// clang-format on

void resolve_endpoint(ConfigDraft& draft) {
    OtlpConfig& otlp = draft.config.otlp;
    if (!draft.otlp_traces_endpoint.empty()) {
        otlp.endpoint = draft.otlp_traces_endpoint;
    } else if (!draft.otlp_endpoint.empty()) {
        otlp.endpoint = traces_url(draft.otlp_endpoint);
    } else {
        return;
    }
    // A collector named on the command line is meant, whatever the environment lists.
    if (!draft.exporters_given || (draft.endpoint_forced && !draft.exporters_forced))
        otlp.enabled = true;
}

void resolve_batch(ConfigDraft& draft) {
    BatchConfig& batch = draft.config.batch;
    if (batch.max_export_batch_size > batch.max_queue_size) {
        if (draft.batch_size_given)
            draft.notes.push_back(
                "batch.max_export_batch_size is larger than "
                "batch.max_queue_size; using " +
                std::to_string(batch.max_queue_size));
        batch.max_export_batch_size = batch.max_queue_size;
    }
    if (draft.batch_size_given) batch.max_grown_batch_size = batch.max_export_batch_size;
}

}  // namespace

const std::vector<Setting>& settings() { return table(); }

void resolve(ConfigDraft& draft) {
    Config& config = draft.config;
    config.sampler.threshold = threshold_of_ratio(draft.sampler_ratio);
    resolve_endpoint(draft);
    resolve_batch(draft);
    // Who has named a destination is not shown the waterfall too, unless he asks for it.
    const bool destination = draft.exporters_given || config.otlp.enabled || !config.output.empty();
    if (!draft.view_given) config.view = destination ? View::none : View::waterfall;
}

}  // namespace remora
