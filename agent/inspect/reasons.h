// SPDX-License-Identifier: Apache-2.0
// Why a process is not traced, or only in part: one list of reasons, and what facts lead to which.
// Pure. docs/troubleshooting.md has a table of the same reasons, which a test keeps equal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/inspect/process_facts.h"
#include "agent/inspect/session_memory.h"

namespace remora {

enum class TraceState : uint8_t {
    traced,
    in_part,
    not_traced,
    unknown,  // we may not look at it
};

// X(name, state that it leads to, what a person reads, what to do)
#define REMORA_REASONS(X)                                                                         \
    X(statically_linked, not_traced, "statically linked: no library can be preloaded",            \
      "link it dynamically")                                                                      \
    X(go, not_traced, "a Go program: makes its system calls without libc",                        \
      "trace the programs around it; it passes traceparent on only if its own code does")         \
    X(privileged, not_traced, "setuid, setgid or file capabilities: preloading is ignored",       \
      "run remora as the user that it becomes, and the program without the privilege")            \
    X(other_architecture, not_traced, "for another architecture: the library does not fit",       \
      "use a build for 64-bit x86")                                                               \
    X(other_libc, not_traced, "of another C library: the library needs glibc",                    \
      "use a build for the GNU C library")                                                        \
    X(no_libc, not_traced, "uses no C library: there is nothing to stand in front of",            \
      "link it with libc")                                                                        \
    X(disabled, not_traced, "switched off: REMORA_DISABLE",                                       \
      "take REMORA_DISABLE out of its environment")                                               \
    X(recording_off, not_traced,                                                                  \
      "nothing is recorded: OTEL_SDK_DISABLED, or the sampler always_off",                        \
      "take OTEL_SDK_DISABLED or OTEL_TRACES_SAMPLER out of its environment")                     \
    X(remora_itself, not_traced, "is remora run itself",                                          \
      "see the processes that it runs: remora ps")                                                \
    X(agent_gone, not_traced,                                                                     \
      "its remora run has ended or is stopped: requests only pass through",                       \
      "start the program again with remora run")                                                  \
    X(other_version, not_traced, "its remora run is of another version",                          \
      "use the remora that started it, or start it again")                                        \
    X(environment_cleared, not_traced, "started without LD_PRELOAD: its environment was cleared", \
      "keep LD_PRELOAD and REMORA_SESSION where it is started (sudo, su, cron and service "       \
      "managers clear them), or put remora run directly before it")                               \
    X(library_not_loaded, not_traced, "the library could not be loaded",                          \
      "make libremora.so readable at the path that LD_PRELOAD names, in its container too")       \
    X(session_lost, not_traced, "the library is loaded, but REMORA_SESSION is missing",           \
      "keep REMORA_SESSION where it is started")                                                  \
    X(session_unreachable, not_traced, "the library is loaded, but could not reach its agent",    \
      "is it in a sandbox, in a container of its own, without /proc, or under ulimit -v?")        \
    X(not_started_by_remora, not_traced, "was not started by remora run",                         \
      "start it with: remora run -- PROGRAM")                                                     \
    X(hidden, unknown, "may not be looked at: another user's, or protected",                      \
      "ask again as that user or as root")                                                        \
    X(static_tls, in_part, "TLS is linked in: https is not seen",                                 \
      "use a build with a shared libssl; http is traced")                                         \
    X(java_tls, in_part, "Java does TLS itself: https is not seen",                               \
      "end TLS in front of it; http is traced")                                                   \
    X(other_tls, in_part, "a TLS library that is not known: https by it is not seen",             \
      "http is traced, and https by OpenSSL and GnuTLS")                                          \
    X(tls_not_followed, in_part, "TLS sessions were not followed: too many at once",              \
      "spread them over more processes")                                                          \
    X(io_uring, in_part, "uses io_uring: what goes that way is not seen",                         \
      "switch io_uring off in its configuration")                                                 \
    X(seccomp, in_part, "a seccomp filter is on: requests that it serves are not rewritten",      \
      "let it forward traceparent itself, or switch its sandbox off")                             \
    X(stdio_on_a_socket, in_part, "uses stdio on a socket: that connection is not seen",          \
      "have it read and write the socket itself")                                                 \
    X(no_lane, in_part, "no free lane: it is not recorded", "raise REMORA_LANES")                 \
    X(records_lost, in_part, "requests were not recorded: the agent did not keep up",             \
      "sample fewer (--sample), or give remora more CPU")                                         \
    X(other_agent, in_part, "another tracing agent is inside: both name the parent of a request", \
      "switch one of the two off")

enum class Reason : uint8_t {
#define X(name, state, text, help) name,
    REMORA_REASONS(X)
#undef X
};

const char* reason_name(Reason reason);  // "static_tls"
TraceState reason_state(Reason reason);
const char* reason_text(Reason reason);
const char* reason_help(Reason reason);
const char* state_text(TraceState state);  // "in part"

struct Finding {
    Reason reason;
    std::string detail;  // "OpenSSL", "Datadog"; may be empty; untrusted text
};
// "TLS is linked in: https is not seen (OpenSSL)"
std::string finding_text(const Finding& finding);

// What ties a process to a `remora run`.
struct Membership {
    bool member = false;                    // it descends from one, or has the session's variable
    const SessionMemory* memory = nullptr;  // of its agent; nullptr: ended, or we may not look
    bool is_agent = false;
    bool agent_hidden = false;         // it lives, but belongs to another user
    const LaneOwner* owner = nullptr;  // what it has said in its lanes; nullptr: nothing
    bool agent_silent = false;         // nobody reads: no sign of life for five seconds
    uint32_t agent_seccomp_mode = 0;   // filters that were on before: not the program's own
    std::optional<uint32_t> agent_filters;
};

struct Judgement {
    TraceState state = TraceState::traced;
    std::vector<Finding> findings;  // the most telling first; none where it is traced
};

Judgement judge(const ProcessFacts& facts, const Membership& membership);

// One kind of loss, for a person. nullptr: there is nothing to be done about it.
const char* loss_name(unsigned reason);
const char* loss_meaning(unsigned reason);
const char* loss_help(unsigned reason);

}  // namespace remora
