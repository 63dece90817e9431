// SPDX-License-Identifier: Apache-2.0
#include "agent/config/settings.h"

#include "agent/base/text.h"
#include "agent/config/otlp_endpoint.h"
#include "agent/config/parse_value.h"
#include "agent/config/setting_rules.h"

namespace remora {
namespace {

using Text = std::string_view;
using Draft = ConfigDraft;

// clang-format off
const std::vector<Setting>& table() {
    static const std::vector<Setting> rows = {
        {"disabled", {"REMORA_DISABLE"}, "false",
         "`1` or `true`: pass everything through, nothing is recorded or added",
         [](Text v, Draft& d) { return rule::own_boolean(v, d.config.disabled); }},
        {"sdk.disabled", {"OTEL_SDK_DISABLED"}, "false",
         "record nothing; trace headers that come in still travel on",
         [](Text v, Draft& d) { return rule::otel_boolean(v, d.config.sdk_disabled); }},
        {"log.level", {"OTEL_LOG_LEVEL"}, "info", "trace, debug, info, warn, error, none",
         rule::log_level},
        {"file", {"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"}, "",
         "not supported: a warning", rule::no_file},
        {"service.name", {"OTEL_SERVICE_NAME"}, "(the program's name)",
         "of an interpreter: its script's",
         [](Text v, Draft& d) { return rule::text(v, d.config.service_name); }},
        {"resource.attributes", {"OTEL_RESOURCE_ATTRIBUTES"}, "",
         "`key=value,...`, percent-encoded, on every span's resource", rule::resource_attributes},
        {"resource.entities", {"OTEL_ENTITIES"}, "", "not supported: a warning", rule::no_entities},
        {"propagators", {"OTEL_PROPAGATORS"}, "tracecontext,baggage",
         "`none`: no trace header is read, added or changed; baggage always passes as it is; b3, "
         "b3multi, jaeger and ottrace are not supported: a warning, and tracecontext",
         rule::propagators},
        {"sampler", {"OTEL_TRACES_SAMPLER"}, "parentbased_always_on",
         "also always_on, always_off, traceidratio, parentbased_always_off, "
         "parentbased_traceidratio", rule::sampler},
        {"sampler.argument", {"OTEL_TRACES_SAMPLER_ARG"}, "1.0",
         "ratio of the two ratio samplers", rule::sampler_argument},
        {"exporters", {"OTEL_TRACES_EXPORTER"}, "(`otlp` where an endpoint is given)",
         "otlp, zipkin, console (lines on standard error), none, or a list", rule::exporters},
        {"otlp.endpoint", {"OTEL_EXPORTER_OTLP_ENDPOINT"}, "http://localhost:4318",
         "base URL, `/v1/traces` is appended; or `unix:/PATH`; or HOST:PORT; of grpc port 4317; "
         "several: separated by commas",
         [](Text v, Draft& d) { return rule::otlp_endpoints(v, d.otlp_endpoint); }, Shown::url},
        {"otlp.traces_endpoint", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
         "(`otlp.endpoint` and `/v1/traces`)", "whole URL, used as it is",
         [](Text v, Draft& d) { return rule::otlp_endpoint(v, d.otlp_traces_endpoint); }, Shown::url},
        {"otlp.protocol", {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"},
         "http/protobuf", "or `http/json` or `grpc`",
         rule::otlp_protocol},
        {"otlp.headers", {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"}, "",
         "`name=value,...`, values percent-encoded; not shown by `remora config`",
         rule::headers, Shown::names},
        {"otlp.timeout", {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"},
         "10000", "ms for one attempt; 0: no limit",
         [](Text v, Draft& d) { return rule::timeout(v, d.config.otlp.timeout); }},
        {"otlp.compression",
         {"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"}, "none",
         "or `gzip`", rule::otlp_compression},
        {"otlp.certificate",
         {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"},
         "(those of the system)", "PEM file of authorities to trust",
         [](Text v, Draft& d) { return rule::readable_file(v, d.config.otlp.certificate); }},
        {"otlp.client_certificate",
         {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
         "", "PEM file",
         [](Text v, Draft& d) { return rule::readable_file(v, d.config.otlp.client_certificate); }},
        {"otlp.client_key",
         {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"}, "", "PEM file",
         [](Text v, Draft& d) { return rule::readable_file(v, d.config.otlp.client_key); }},
        {"otlp.insecure", {"OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"},
         "false", "of grpc to an endpoint without a scheme: no TLS",
         [](Text v, Draft& d) { return rule::otel_boolean(v, d.otlp_insecure); }},
        {"batch.schedule_delay", {"OTEL_BSP_SCHEDULE_DELAY"}, "5000",
         "ms that a span waits at most for its batch",
         [](Text v, Draft& d) { return rule::delay(v, d.config.batch.schedule_delay); }},
        {"batch.export_timeout", {"OTEL_BSP_EXPORT_TIMEOUT"}, "30000",
         "ms for one batch with its retries; 0: no limit",
         [](Text v, Draft& d) { return rule::timeout(v, d.config.batch.export_timeout); }},
        {"batch.max_queue_size", {"OTEL_BSP_MAX_QUEUE_SIZE"}, "65536",
         "spans; beyond them new ones are dropped and counted",
         [](Text v, Draft& d) { return rule::count(v, d.config.batch.max_queue_size, 1); }},
        {"batch.max_export_batch_size", {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE"}, "512",
         "spans; where not given, a queue that has grown is sent in larger batches",
         rule::batch_size},
        {"limits.attribute_value_length",
         {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"},
         "(no limit)", "characters of a text on a span, an event or a link",
         [](Text v, Draft& d) {
             return rule::count(v, d.config.limits.attribute_value_length, 0);
         }},
        {"limits.attributes", {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"},
         "128", "attributes of a span; those beyond are dropped and counted in the span",
         [](Text v, Draft& d) { return rule::count(v, d.config.limits.attributes, 0); }},
        {"limits.events", {"OTEL_SPAN_EVENT_COUNT_LIMIT"}, "128", "events of a span",
         [](Text v, Draft& d) { return rule::count(v, d.config.limits.events, 0); }},
        {"limits.links", {"OTEL_SPAN_LINK_COUNT_LIMIT"}, "128", "links of a span",
         [](Text v, Draft& d) { return rule::count(v, d.config.limits.links, 0); }},
        {"limits.event_attributes",
         {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"}, "128",
         "attributes of an event",
         [](Text v, Draft& d) { return rule::count(v, d.config.limits.event_attributes, 0); }},
        {"limits.link_attributes",
         {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"}, "128",
         "attributes of a link",
         [](Text v, Draft& d) { return rule::count(v, d.config.limits.link_attributes, 0); }},
        {"zipkin.endpoint", {"OTEL_EXPORTER_ZIPKIN_ENDPOINT"},
         "http://localhost:9411/api/v2/spans", "whole URL, where `exporters` names zipkin",
         [](Text v, Draft& d) { return rule::url(v, d.config.zipkin.endpoint); }, Shown::url},
        {"zipkin.timeout", {"OTEL_EXPORTER_ZIPKIN_TIMEOUT"}, "10000",
         "ms for one attempt; 0: no limit",
         [](Text v, Draft& d) { return rule::timeout(v, d.config.zipkin.timeout); }},
        {"spool.directory", {"REMORA_SPOOL"}, "",
         "as `--spool`; nothing: what a collector that is away can't take is dropped in the end",
         [](Text v, Draft& d) { return rule::text(v, d.config.spool.directory); }},
        {"spool.limit", {"REMORA_SPOOL_LIMIT"}, "268435456",
         "bytes on disk for each destination; beyond it the oldest are dropped and counted",
         [](Text v, Draft& d) { return rule::bytes(v, d.config.spool.limit_bytes); }},
        {"metrics.listen", {"REMORA_METRICS_LISTEN"}, "",
         "HOST:PORT on which `/metrics` (Prometheus) and `/healthz` of the agent are served",
         rule::metrics_listen},
        {"output", {"REMORA_OUTPUT"}, "", "as `--output`",
         [](Text v, Draft& d) { return rule::text(v, d.config.output); }},
        {"view", {"REMORA_VIEW"}, "auto",
         "waterfall, live, none; auto: the waterfall where no other destination was named",
         rule::view},
        {"view.file", {"REMORA_VIEW_FILE"}, "(standard error)", "where the view is written",
         [](Text v, Draft& d) { return rule::text(v, d.config.view_file); }},
        {"idle_limit", {"REMORA_IDLE_LIMIT"}, "300",
         "seconds without a byte after which an open exchange is ended",
         [](Text v, Draft& d) { return rule::seconds(v, d.config.idle_limit, 1); }},
        {"drain_timeout", {"REMORA_DRAIN_TIMEOUT"}, "5",
         "seconds for what is still queued when the program has ended",
         [](Text v, Draft& d) { return rule::seconds(v, d.config.drain_timeout, 0); }},
        {"lanes", {"REMORA_LANES"}, "512",
         "lanes of shared memory, 128 KiB of address space each; a process takes one to begin with",
         [](Text v, Draft& d) { return rule::lanes(v, d.config.lanes); }},
        {"http.known_methods", {"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"},
         "(those of the conventions)", "comma-separated; others become `_OTHER`",
         rule::known_methods},
        {"http.server.request_headers",
         {"OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS"}, "",
         "comma-separated names of request headers that go onto SERVER spans",
         [](Text v, Draft& d) {
             return rule::named_fields(v, d, REMORA_NAMED_SERVER_REQUEST);
         }},
        {"http.server.response_headers",
         {"OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS"}, "",
         "comma-separated names of response headers that go onto SERVER spans",
         [](Text v, Draft& d) {
             return rule::named_fields(v, d, REMORA_NAMED_SERVER_RESPONSE);
         }},
        {"http.client.request_headers",
         {"OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS"}, "",
         "comma-separated names of request headers that go onto CLIENT spans",
         [](Text v, Draft& d) {
             return rule::named_fields(v, d, REMORA_NAMED_CLIENT_REQUEST);
         }},
        {"http.client.response_headers",
         {"OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS"}, "",
         "comma-separated names of response headers that go onto CLIENT spans",
         [](Text v, Draft& d) {
             return rule::named_fields(v, d, REMORA_NAMED_CLIENT_RESPONSE);
         }},
        {"telemetry.traced", {"REMORA_TRACE_TELEMETRY"}, "false",
         "record exports and scrapes of telemetry (OTLP, Zipkin, Jaeger, Datadog, Prometheus) as "
         "other requests",
         [](Text v, Draft& d) { return rule::own_boolean(v, d.config.trace_telemetry); }},
        {"semconv.stability", {"OTEL_SEMCONV_STABILITY_OPT_IN"}, "",
         "the stable conventions are always used; `.../dup` is not supported: a warning",
         rule::stability},
    };
    return rows;
}
// clang-format on

void resolve_endpoint(ConfigDraft& draft) {
    Config& config = draft.config;
    OtlpConfig& otlp = config.otlp;
    bool otlp_given = false;
    if (!draft.otlp_traces_endpoint.empty()) {
        set_otlp_endpoint(otlp, draft.otlp_traces_endpoint, false, draft.otlp_insecure);
    } else if (!draft.otlp_endpoint.empty()) {
        // Credentials of one destination are not sent to the others.
        for (const std::string_view text : split_list(draft.otlp_endpoint, ',')) {
            OtlpConfig next = otlp;
            next.headers.clear();
            OtlpConfig& at = otlp_given ? config.more_otlp.emplace_back(std::move(next)) : otlp;
            set_otlp_endpoint(at, std::string(text), true, draft.otlp_insecure);
            otlp_given = true;
        }
    } else {
        if (otlp.protocol == OtlpProtocol::grpc) otlp.endpoint = "http://localhost:4317";
        return;
    }
    // A collector named on the command line is meant, whatever the environment lists.
    if (!draft.exporters_given || (draft.endpoint_forced && !draft.exporters_forced))
        otlp.enabled = true;
}

// A certificate's file may hold its key, too; a key alone is good for nothing.
void resolve_client_key(ConfigDraft& draft) {
    OtlpConfig& otlp = draft.config.otlp;
    if (otlp.client_key.empty() || !otlp.client_certificate.empty()) return;
    draft.warnings.push_back(
        "OTEL_EXPORTER_OTLP_CLIENT_KEY needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE; ignored");
    otlp.client_key.clear();
}

void resolve_batch(ConfigDraft& draft) {
    BatchConfig& batch = draft.config.batch;
    if (batch.max_export_batch_size > batch.max_queue_size) {
        if (draft.batch_size_given)
            draft.warnings.push_back(
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is larger than "
                "OTEL_BSP_MAX_QUEUE_SIZE; using " +
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
    resolve_client_key(draft);
    resolve_batch(draft);
    // Who has named a destination is not shown the waterfall too, unless he asks for it.
    const bool destination = draft.exporters_given || config.otlp.enabled || !config.output.empty();
    if (!draft.view_given) config.view = destination ? View::none : View::waterfall;
}

}  // namespace remora
