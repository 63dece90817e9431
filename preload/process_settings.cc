// SPDX-License-Identifier: Apache-2.0
#include "preload/process_settings.h"

#include <cstring>

#include "preload/lane_writer.h"
#include "preload/own_environment.h"
#include "preload/process_state.h"
#include "preload/session.h"

namespace remora::shim {
namespace {

struct Settings {
    bool sdk_disabled;
    bool has_sampler;
    Sampler sampler;
};
constinit Settings settings{};

ByteView text_of(const char* value) noexcept {
    return trim_blanks(ByteView{value, strnlen(value, 4096)});
}

bool is_ratio(remora_sampler kind) noexcept {
    return kind == REMORA_SAMPLER_RATIO || kind == REMORA_SAMPLER_PARENT_RATIO;
}

}  // namespace

void init_settings(const Environment& environment) noexcept {
    // The specification's only true value is "true" (Environment Variables, Boolean value).
    settings.sdk_disabled =
        environment.sdk_disabled != nullptr &&
        equal_ignoring_case(text_of(environment.sdk_disabled), ByteView{"true"});
    if (environment.sampler == nullptr) return;
    Sampler sampler;
    // An unknown name counts as not set: the agent's sampler stays in force.
    if (!parse_sampler_name(text_of(environment.sampler), sampler.kind)) return;
    if (is_ratio(sampler.kind)) {
        double ratio = 1;  // the specification's default, also for a text that is no ratio
        if (environment.sampler_argument != nullptr &&
            !parse_ratio(text_of(environment.sampler_argument), ratio))
            ratio = 1;
        sampler.threshold = threshold_of_ratio(ratio);
    }
    settings.sampler = sampler;
    settings.has_sampler = true;
}

void read_incoming_context(const Environment& environment, SpanContext& context, char* tracestate,
                           uint16_t& tracestate_size) noexcept {
    tracestate_size = 0;
    if (environment.traceparent == nullptr) return;
    SpanContext parsed;
    if (!parse_traceparent(text_of(environment.traceparent), parsed)) {
        if (*environment.traceparent != '\0' &&
            strcmp(environment.traceparent, no_traceparent) != 0)
            count_loss(REMORA_LOSS_trace_header_invalid);
        return;
    }
    context = parsed;
    if (environment.tracestate == nullptr) return;
    const ByteView list = text_of(environment.tracestate);
    if (list.empty()) return;
    if (list.size > REMORA_TRACESTATE_MAX || !valid_tracestate(list)) {
        count_loss(REMORA_LOSS_tracestate_dropped);
        return;
    }
    memcpy(tracestate, list.data, list.size);
    tracestate_size = static_cast<uint16_t>(list.size);
}

bool tracing() noexcept { return session().active && (switches() & REMORA_SWITCH_DISABLED) == 0; }

bool recording() noexcept {
    return tracing() && !settings.sdk_disabled && (switches() & REMORA_SWITCH_SDK_DISABLED) == 0;
}

Sampler current_sampler() noexcept {
    if (settings.has_sampler && (switches() & REMORA_SWITCH_SAMPLER_FORCED) == 0)
        return settings.sampler;
    Sampler sampler;
    const remora_control* control = session().control;
    if (control == nullptr) return sampler;
    const uint32_t kind = __atomic_load_n(&control->sampler, __ATOMIC_RELAXED);
    if (kind <= REMORA_SAMPLER_PARENT_RATIO) sampler.kind = static_cast<remora_sampler>(kind);
    sampler.threshold = __atomic_load_n(&control->threshold, __ATOMIC_RELAXED);
    return sampler;
}

}  // namespace remora::shim
