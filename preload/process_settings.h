// SPDX-License-Identifier: Apache-2.0
// The process's own OTEL_* settings and the context that its environment brought, read once by the
// constructor. What follows from them at any moment is in process_state.h.
#pragma once

#include "agent/context/span_context.h"
#include "preload/environment.h"

namespace remora::shim {

void init_settings(const Environment& environment) noexcept;

// TRACEPARENT and TRACESTATE by the rules of the header fields they are named after; a tracestate
// that breaks them, or without a valid traceparent, is dropped. `tracestate`: REMORA_TRACESTATE_MAX
// bytes.
void read_incoming_context(const Environment& environment, SpanContext& context, char* tracestate,
                           uint16_t& tracestate_size) noexcept;

}  // namespace remora::shim
