// SPDX-License-Identifier: Apache-2.0
// The process's own environment. libc starts some programs out of our sight (system, popen,
// wordexp); they get `environ` as it is, so it names the process span while that may be a parent.
#pragma once

#include "agent/context/span_context.h"
#include "preload/environment.h"

namespace remora::shim {

// For the constructor, before other threads: TRACEPARENT in `environ` becomes the span's, and
// REMORA_SESSION says that it is ours (marked_session: "REMORA_SESSION=...", kept by the caller).
void publish_in_environment(const SpanContext& span, const Environment& environment,
                            char* marked_session) noexcept;

// The process span is no parent any more: the user's TRACEPARENT is back, or an empty one. Stores
// into our own text, never into `environ`, which the program may be changing. Any thread.
void withdraw_from_environment() noexcept;

}  // namespace remora::shim
