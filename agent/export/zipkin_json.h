// SPDX-License-Identifier: Apache-2.0
// Spans as Zipkin v2 JSON (zipkin.io/zipkin-api, "v2"), by the mapping of the OpenTelemetry
// specification, "OpenTelemetry to Zipkin Transformation". Links have no place in it.
#pragma once

#include <string>
#include <vector>

#include "agent/span/span.h"

namespace remora {

// One array. Attributes of the resource but service.name become tags of every span.
std::string encode_zipkin_json(const std::vector<Span>& spans);

}  // namespace remora
