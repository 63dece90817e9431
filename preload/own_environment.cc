// SPDX-License-Identifier: Apache-2.0
#include "preload/own_environment.h"

#include <unistd.h>

#include <cstring>

#include "preload/child_environment.h"

namespace remora::shim {
namespace {

constexpr size_t prefix_size = 12;  // "TRACEPARENT="
char traceparent_entry[prefix_size + traceparent_size + 1];
char users_traceparent[traceparent_size + 1];  // empty: none, or one that a shim had put there

// Where `environ` moves when it has no TRACEPARENT yet. Larger environments stay as they are.
constexpr size_t longest_environment = 512;
char* moved_environment[longest_environment + 2];

char** find_entry(ByteView name) noexcept {
    if (environ != nullptr)
        for (char** entry = environ; *entry != nullptr; ++entry)
            if (value_of(*entry, name) != nullptr) return entry;
    return nullptr;
}

bool make_room(char* entry) noexcept {
    const size_t count = count_entries(environ);
    if (count > longest_environment) return false;
    if (count > 0) memcpy(moved_environment, environ, count * sizeof(char*));
    moved_environment[count] = entry;
    moved_environment[count + 1] = nullptr;
    environ = moved_environment;
    return true;
}

}  // namespace

void publish_in_environment(const SpanContext& span, const Environment& environment,
                            char* marked_session) noexcept {
    char** session_entry = find_entry(REMORA_SESSION_VARIABLE);
    if (session_entry == nullptr) return;
    if (environment.traceparent != nullptr && !inherited_traceparent_is_ours() &&
        strlen(environment.traceparent) == traceparent_size)
        memcpy(users_traceparent, environment.traceparent, traceparent_size);
    memcpy(traceparent_entry, "TRACEPARENT=", prefix_size);
    write_traceparent(span, traceparent_entry + prefix_size);
    char** entry = find_entry("TRACEPARENT");
    if (entry != nullptr)
        *entry = traceparent_entry;
    else if (!make_room(traceparent_entry))
        return;
    *find_entry(REMORA_SESSION_VARIABLE) = marked_session;
}

void withdraw_from_environment() noexcept {
    if (traceparent_entry[0] == '\0') return;
    if (users_traceparent[0] != '\0')
        memcpy(traceparent_entry + prefix_size, users_traceparent, traceparent_size);
    else
        __atomic_store_n(&traceparent_entry[prefix_size], '\0', __ATOMIC_RELAXED);
}

}  // namespace remora::shim
