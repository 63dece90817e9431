// SPDX-License-Identifier: Apache-2.0
// The session that this process belongs to: the agent's control page and its lanes, mapped. Set up
// once by the constructor; without one the shim is passive and every hook passes straight through.
//
// Nothing here is ever printed, and no failure is visible to the program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/protocol/protocol.h"
#include "bpf/abi/control.h"
#include "bpf/abi/lanes.h"

namespace remora::shim {

struct Session {
    const remora_control* control = nullptr;
    remora_lane* lanes = nullptr;
    uint32_t lane_count = 0;
    bool active = false;         // both are mapped; says nothing about the live switches
    uint64_t pid_namespace = 0;  // inode number of this process's own; 0 unknown
    uint64_t id[2] = {};
    // The fields that the user named, by the bit of remora_named_where; read once: the agent does
    // not change them.
    bool names_fields = false;
    NamedFields named[4];
};

extern constinit Session session_storage;
inline const Session& session() noexcept { return session_storage; }

// Those of one kind of message; nullptr: none.
inline const NamedFields* named_fields(uint8_t role, MessageKind kind) noexcept {
    if (__builtin_expect(!session_storage.names_fields, 1)) return nullptr;
    const uint8_t where = named_where(role, kind == MessageKind::request);
    return &session_storage.named[__builtin_ctz(where)];
}

// The live switches (remora_control_switches); 0 without a session.
inline uint32_t switches() noexcept {
    const remora_control* control = session_storage.control;
    return control == nullptr ? 0 : __atomic_load_n(&control->switches, __ATOMIC_RELAXED);
}

// Is somebody reading the lanes? now_ns: CLOCK_MONOTONIC.
inline bool agent_reading(uint64_t now_ns) noexcept {
    const remora_control* control = session_storage.control;
    if (control == nullptr) return false;
    const uint64_t beat = __atomic_load_n(&control->heartbeat_ns, __ATOMIC_RELAXED);
    return beat > now_ns || now_ns - beat < REMORA_HEARTBEAT_LIMIT_NS;
}

// REMORA_SESSION, taken apart.
struct SessionAddress {
    uint32_t agent_pid = 0;
    uint32_t lanes_fd = 0;
    uint32_t control_fd = 0;
    uint64_t id[2] = {};
    char id_text[33] = {};
    // The TRACEPARENT beside it was put there by a shim, not by the user.
    bool traceparent_is_ours = false;
};
// false: not such a text. Every number is bounded.
bool parse_session(const char* text, SessionAddress& out) noexcept;

// Maps the session's memory; called once, by the constructor. false: stay passive. Keeps errno.
bool attach_session(const SessionAddress& address) noexcept;

}  // namespace remora::shim
