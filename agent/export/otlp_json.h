// SPDX-License-Identifier: Apache-2.0
// OTLP in JSON (OTLP specification, "JSON Protobuf Encoding"): lower-camel-case names, ids in
// hexadecimal, 64-bit integers as strings, enums as numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/export/otlp_protobuf.h"
#include "agent/span/span.h"

namespace remora {

// An ExportTraceServiceRequest on one line, without a line end.
std::string encode_otlp_json(const std::vector<Span>& spans);

// ExportTraceServiceResponse, or google.rpc.Status with its message.
OtlpResponse decode_otlp_json_response(std::string_view body);

}  // namespace remora
