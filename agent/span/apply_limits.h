// SPDX-License-Identifier: Apache-2.0
// The limits of OTEL_*_LIMIT (OpenTelemetry specification, "Span limits" and "Attribute limits").
#pragma once

#include "agent/base/span_limits.h"
#include "agent/span/span.h"

namespace remora {

// Cuts texts at whole characters and drops what is too much, the last first; the span counts what
// it lost. Resources have no limits. After finish_texts(): texts are well-formed.
void apply_limits(const SpanLimits& limits, Span& span);

}  // namespace remora
