// SPDX-License-Identifier: Apache-2.0
// The variables of a process's environment that concern the shim. Pointers into the environment
// itself, taken once by the constructor: texts that the program may later overwrite are copied by
// whoever keeps them.
#pragma once

#include "agent/base/bytes.h"

namespace remora::shim {

struct Environment {
    const char* session = nullptr;              // REMORA_SESSION
    const char* disable = nullptr;              // REMORA_DISABLE
    const char* preload = nullptr;              // LD_PRELOAD
    const char* traceparent = nullptr;          // TRACEPARENT
    const char* tracestate = nullptr;           // TRACESTATE
    const char* sampler = nullptr;              // OTEL_TRACES_SAMPLER
    const char* sampler_argument = nullptr;     // OTEL_TRACES_SAMPLER_ARG
    const char* sdk_disabled = nullptr;         // OTEL_SDK_DISABLED
    const char* service_name = nullptr;         // OTEL_SERVICE_NAME
    const char* resource_attributes = nullptr;  // OTEL_RESOURCE_ATTRIBUTES
};

// nullptr is an empty environment. Of several entries of one name the first counts, as for getenv.
Environment read_environment(char* const* entries) noexcept;

// The value of an entry "NAME=value" when it has this name, else nullptr.
const char* value_of(const char* entry, ByteView name) noexcept;

// "1" and "true" in any case.
bool is_true(const char* value) noexcept;

}  // namespace remora::shim
