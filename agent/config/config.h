// SPDX-License-Identifier: Apache-2.0
// What the agent was told to do. A plain value: made once by ConfigBuilder, never changed after.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/span_limits.h"
#include "agent/context/sampler.h"
#include "bpf/abi/control.h"
#include "bpf/abi/limits.h"

namespace remora {

enum class OtlpProtocol : uint8_t { http_protobuf, http_json, grpc };
enum class Compression : uint8_t { none, gzip };

// What a person sees in the terminal.
enum class View : uint8_t {
    none,
    waterfall,  // all recent traces when the program has ended
    live,       // every trace as it finishes
};

struct OtlpConfig {
    bool enabled = false;
    std::string endpoint = "http://localhost:4318/v1/traces";  // the whole URL
    std::string unix_socket;                                   // instead of its host and port
    OtlpProtocol protocol = OtlpProtocol::http_protobuf;
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::milliseconds timeout{10000};  // of one attempt
    Compression compression = Compression::none;
    std::string certificate;  // PEM files; empty: the system's, none
    std::string client_certificate;
    std::string client_key;
};

struct ZipkinConfig {
    bool enabled = false;
    std::string endpoint = "http://localhost:9411/api/v2/spans";  // the whole URL
    std::chrono::milliseconds timeout{10000};                     // of one attempt
};

struct SpoolConfig {
    std::string directory;                   // empty: no spool
    size_t limit_bytes = size_t{256} << 20;  // of each destination
};

struct BatchConfig {
    std::chrono::milliseconds schedule_delay{5000};   // a span waits at most this long
    std::chrono::milliseconds export_timeout{30000};  // of one batch, with its retries
    size_t max_queue_size = 65536;                    // spans
    size_t max_queue_bytes = size_t{32} << 20;  // estimated memory, of all destinations together
    size_t max_export_batch_size = 512;         // at this many a batch leaves at once
    // A queue that has grown beyond one batch is sent in larger ones, up to this many spans;
    // equal to max_export_batch_size where the user gave that.
    size_t max_grown_batch_size = 4096;
};

struct Config {
    bool disabled = false;      // REMORA_DISABLE: everything passes through
    bool sdk_disabled = false;  // OTEL_SDK_DISABLED: nothing is recorded, context still travels
    std::string log_level = "info";  // trace debug info warn error none

    std::string service_name;                 // OTEL_SERVICE_NAME; empty: by the program
    std::string resource_attributes;          // OTEL_RESOURCE_ATTRIBUTES, unparsed
    std::string refused_resource_attributes;  // the same, where it can't be read

    bool propagate = true;  // OTEL_PROPAGATORS: traceparent and tracestate are read and written
    bool trace_telemetry = false;  // exports and scrapes of telemetry are traced too
    Sampler sampler;
    bool sampler_forced = false;  // by a flag: wins over the environment of a traced program

    OtlpConfig otlp;
    std::vector<OtlpConfig> more_otlp;  // further destinations; headers are the first one's alone
    ZipkinConfig zipkin;
    bool console = false;  // spans as lines on stderr
    std::string output;    // OTLP/JSON lines go here; empty: nowhere
    BatchConfig batch;
    SpoolConfig spool;
    std::string metrics_listen;  // where /metrics is served; empty: nowhere
    SpanLimits limits;

    View view = View::waterfall;
    std::string view_file;  // empty: stderr

    std::chrono::seconds idle_limit{300};   // an exchange without a byte for so long is ended
    std::chrono::seconds drain_timeout{5};  // for what is queued when the program has ended
    uint32_t lanes = REMORA_LANES_DEFAULT;
    std::vector<std::string> http_known_methods;   // empty: those of the conventions
    std::vector<remora_named_field> named_fields;  // header fields that go onto spans
};

}  // namespace remora
