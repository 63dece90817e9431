// SPDX-License-Identifier: Apache-2.0
// OTLP in protobuf, written by protozero (field numbers: opentelemetry-proto v1.9,
// opentelemetry/proto/trace/v1/trace.proto and collector/trace/v1/trace_service.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/span/span.h"

namespace remora {

// An ExportTraceServiceRequest. Spans are grouped by resource, in order of first appearance; texts
// must be well-formed UTF-8 (the span builders see to it).
std::string encode_otlp_protobuf(const std::vector<Span>& spans);

// What a collector answers with.
struct OtlpResponse {
    bool readable = false;       // it was what it should be
    int64_t rejected_spans = 0;  // partial success
    std::string message;         // of the partial success, or of the failure
};
OtlpResponse decode_otlp_response(std::string_view body);  // ExportTraceServiceResponse
OtlpResponse decode_otlp_status(std::string_view body);    // google.rpc.Status, on a failure

}  // namespace remora
