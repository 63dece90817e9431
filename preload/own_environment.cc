// SPDX-License-Identifier: Apache-2.0
#include "preload/own_environment.h"

#include <unistd.h>

#include <cstring>

#include "agent/context/span_context.h"
#include "preload/child_environment.h"
#include "preload/environment.h"
#include "preload/process_state.h"

namespace remora::shim {

const char* const no_traceparent = "00-00000000000000000000000000000000-0000000000000000-00";

namespace {

char* own_traceparent() noexcept {
    if (environ == nullptr) return nullptr;
    for (char** entry = environ; *entry != nullptr; ++entry)
        if (value_of(*entry, "TRACEPARENT") != nullptr) return *entry + sizeof("TRACEPARENT=") - 1;
    return nullptr;
}

}  // namespace

void prepare_own_environment() noexcept {
    if (!tracing()) return;
    char* value = own_traceparent();
    if (value == nullptr || strnlen(value, traceparent_size + 1) != traceparent_size) return;
    if (!is_inherited_traceparent(value)) return;

    char wanted[traceparent_size];
    memcpy(wanted, no_traceparent, traceparent_size);
    if (const SpanContext* parent = process_parent()) {
        write_traceparent(*parent, wanted);
        if (parent == process_span()) note_referenced();
    } else if (incoming_context().valid() && !inherited_traceparent_is_ours()) {
        write_traceparent(incoming_context(), wanted);
    }
    if (memcmp(value, wanted, traceparent_size) != 0) memcpy(value, wanted, traceparent_size);
}

}  // namespace remora::shim
