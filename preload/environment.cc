// SPDX-License-Identifier: Apache-2.0
#include "preload/environment.h"

#include <cstring>

namespace remora::shim {
namespace {

struct Variable {
    ByteView name;
    const char* Environment::*value;
};

void take(const char* entry, Environment& out) noexcept {
    const Variable variables[] = {
        {"REMORA_SESSION", &Environment::session},
        {"REMORA_DISABLE", &Environment::disable},
        {"LD_PRELOAD", &Environment::preload},
        {"TRACEPARENT", &Environment::traceparent},
        {"TRACESTATE", &Environment::tracestate},
        {"OTEL_TRACES_SAMPLER", &Environment::sampler},
        {"OTEL_TRACES_SAMPLER_ARG", &Environment::sampler_argument},
        {"OTEL_SDK_DISABLED", &Environment::sdk_disabled},
        {"OTEL_SERVICE_NAME", &Environment::service_name},
        {"OTEL_RESOURCE_ATTRIBUTES", &Environment::resource_attributes},
    };
    for (const Variable& variable : variables) {
        const char* value = value_of(entry, variable.name);
        if (value == nullptr) continue;
        if (out.*variable.value == nullptr) out.*variable.value = value;
        return;
    }
}

}  // namespace

const char* value_of(const char* entry, ByteView name) noexcept {
    if (strncmp(entry, name.chars(), name.size) != 0 || entry[name.size] != '=') return nullptr;
    return entry + name.size + 1;
}

Environment read_environment(char* const* entries) noexcept {
    Environment found;
    if (entries == nullptr) return found;
    for (; *entries != nullptr; ++entries) {
        const char first = (*entries)[0];
        if (first == 'R' || first == 'L' || first == 'T' || first == 'O') take(*entries, found);
    }
    return found;
}

bool is_true(const char* value) noexcept {
    if (value == nullptr) return false;
    return strcmp(value, "1") == 0 ||
           equal_ignoring_case(ByteView{value, strnlen(value, 8)}, ByteView{"true"});
}

}  // namespace remora::shim
