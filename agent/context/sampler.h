// SPDX-License-Identifier: Apache-2.0
// The head sampler: decides once per trace-local root, before anything is written to a peer.
// Built into the shim.
#pragma once

#include "agent/base/bytes.h"
#include "agent/context/ids.h"
#include "agent/context/span_context.h"
#include "bpf/abi/control.h"

namespace remora {

struct Sampler {
    remora_sampler kind = REMORA_SAMPLER_PARENT_ALWAYS_ON;
    uint64_t threshold = 0;  // of the ratio kinds: sampled when the id's low 56 bits are >= this

    // parent: the incoming or local parent, or nullptr at a root.
    [[nodiscard]] bool decide(const SpanContext* parent, const TraceId& trace_id) const noexcept;
};

constexpr uint64_t threshold_never = uint64_t{1} << 56;

// OTEL_TRACES_SAMPLER's names, in any case. false: unknown.
bool parse_sampler_name(ByteView name, remora_sampler& out) noexcept;
// OTEL_TRACES_SAMPLER_ARG: a decimal fraction in [0, 1] ("0.25", "1", "1e-3"); false: not one.
bool parse_ratio(ByteView text, double& out) noexcept;
// (1 - ratio) * 2^56, the rejection threshold of OpenTelemetry's consistent sampling.
uint64_t threshold_of_ratio(double ratio) noexcept;

}  // namespace remora
