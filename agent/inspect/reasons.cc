// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/reasons.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "agent/inspect/elf_target.h"

namespace remora {

namespace {

struct Row {
    const char* name;
    TraceState state;
    const char* text;
    const char* help;
};
constexpr Row rows[] = {
#define X(name, state, text, help) {#name, TraceState::state, text, help},
    REMORA_REASONS(X)
#undef X
};

const Row& row(Reason reason) { return rows[static_cast<size_t>(reason)]; }

Reason reason_of(TargetKind kind) {
    switch (kind) {
        case TargetKind::go: return Reason::go;
        case TargetKind::other_architecture: return Reason::other_architecture;
        case TargetKind::other_libc: return Reason::other_libc;
        case TargetKind::no_libc: return Reason::no_libc;
        default: return Reason::statically_linked;
    }
}

bool gained_privileges(const ProcessFacts& facts) {
    if (facts.secure) return *facts.secure;
    if (facts.access != Access::allowed && facts.file_capabilities != 0) return true;
    return facts.user != facts.effective_user || facts.group != facts.effective_group;
}

bool is_true(std::string_view value) {
    return value == "1" || value == "true" || value == "TRUE" || value == "True";
}

bool names_our_library(std::string_view preload) {
    return preload.find("libremora") != std::string_view::npos;
}

// One reason suffices: the first that can't be helped, else what happened on the way.
Finding why_not_attached(const ProcessFacts& facts, const Membership& membership) {
    if (gained_privileges(facts)) return {Reason::privileged, {}};
    if (facts.access != Access::allowed) return {Reason::hidden, {}};
    if (facts.elf) {
        const ElfVerdict verdict = judge_elf(*facts.elf, facts.executable);
        if (verdict.kind == TargetKind::other_architecture)
            return {Reason::other_architecture, architecture_name(*facts.elf)};
        if (verdict.kind == TargetKind::other_libc)
            return {Reason::other_libc, facts.elf->interpreter};
        if (verdict.kind != TargetKind::traceable) return {reason_of(verdict.kind), {}};
    }
    if (is_true(facts.variable("REMORA_DISABLE"))) return {Reason::disabled, {}};
    const bool loaded = !facts.mapped.find("libremora").empty();
    if (loaded && facts.variable(REMORA_SESSION_VARIABLE).empty())
        return {Reason::session_lost, {}};
    if (loaded) return {Reason::session_unreachable, {}};
    if (names_our_library(facts.variable("LD_PRELOAD"))) return {Reason::library_not_loaded, {}};
    if (membership.member) return {Reason::environment_cleared, {}};
    return {Reason::not_started_by_remora, {}};
}

// What the shim makes of both environments: a sampler that a flag named wins over the process's
// own.
bool records_nothing(const ProcessFacts& facts, const SessionMemory& memory) {
    if ((memory.switches & REMORA_SWITCH_SDK_DISABLED) != 0 ||
        is_true(facts.variable("OTEL_SDK_DISABLED")))
        return true;
    const std::string_view own = facts.variable("OTEL_TRACES_SAMPLER");
    const bool forced = (memory.switches & REMORA_SWITCH_SAMPLER_FORCED) != 0;
    return forced || own.empty() ? memory.sampler == REMORA_SAMPLER_ALWAYS_OFF
                                 : own == "always_off";
}

// Why an attached process is not recorded all the same.
std::optional<Finding> why_not_recorded(const ProcessFacts& facts, const Membership& membership) {
    if (membership.agent_hidden) return std::nullopt;
    if (membership.memory == nullptr || membership.agent_silent)
        return Finding{Reason::agent_gone, {}};
    if (membership.memory->other_version) return Finding{Reason::other_version, {}};
    if ((membership.memory->switches & REMORA_SWITCH_DISABLED) != 0)
        return Finding{Reason::disabled, {}};
    if (records_nothing(facts, *membership.memory)) return Finding{Reason::recording_off, {}};
    return std::nullopt;
}

// Libraries that do TLS by functions which the shim does not know.
std::string unknown_tls(const MappedFiles& mapped) {
    for (const char* name :
         {"libnss3", "libmbedtls", "libwolfssl", "libs2n", "libboringssl", "libbearssl", "cygrpc"})
        if (const std::string path = mapped.find(name); !path.empty())
            return std::string(file_name(path));
    return {};
}

// A filter that came after the agent was started. One that was on before (a container's) does not
// make the shim careful.
bool has_own_filter(const ProcessFacts& facts, const Membership& membership) {
    if (facts.seccomp_filters && membership.agent_filters)
        return *facts.seccomp_filters > *membership.agent_filters;
    return facts.seccomp_mode > membership.agent_seccomp_mode;
}

uint64_t lost(const Membership& membership, remora_loss reason) {
    return membership.owner == nullptr ? 0 : membership.owner->lost[reason];
}

std::vector<Finding> what_is_missing(const ProcessFacts& facts, const Membership& membership) {
    std::vector<Finding> findings;
    // A process without a lane has nowhere to say that it got none.
    const bool none_left = membership.owner == nullptr && membership.memory != nullptr &&
                           membership.memory->lanes_left == 0;
    if (none_left || lost(membership, REMORA_LOSS_no_lane) != 0)
        findings.push_back({Reason::no_lane, {}});
    if (!facts.linked_tls.empty()) findings.push_back({Reason::static_tls, facts.linked_tls});
    if (!facts.mapped.find("libjvm.so").empty()) findings.push_back({Reason::java_tls, {}});
    if (const std::string library = unknown_tls(facts.mapped); !library.empty())
        findings.push_back({Reason::other_tls, library});
    else if (lost(membership, REMORA_LOSS_tls_library_unknown) != 0)
        findings.push_back({Reason::other_tls, {}});
    if (lost(membership, REMORA_LOSS_tls_table_full) != 0)
        findings.push_back({Reason::tls_not_followed, {}});
    if (facts.io_uring) findings.push_back({Reason::io_uring, {}});
    if (has_own_filter(facts, membership)) findings.push_back({Reason::seccomp, {}});
    if (lost(membership, REMORA_LOSS_stdio_on_a_socket) != 0)
        findings.push_back({Reason::stdio_on_a_socket, {}});
    if (lost(membership, REMORA_LOSS_ring_full) + lost(membership, REMORA_LOSS_agent_away) != 0)
        findings.push_back({Reason::records_lost, {}});
    for (const OtherAgent& agent : facts.other_agents)
        findings.push_back({Reason::other_agent, agent.name});
    return findings;
}

}  // namespace

const char* reason_name(Reason reason) { return row(reason).name; }
TraceState reason_state(Reason reason) { return row(reason).state; }
const char* reason_text(Reason reason) { return row(reason).text; }
const char* reason_help(Reason reason) { return row(reason).help; }

const char* state_text(TraceState state) {
    switch (state) {
        case TraceState::traced: return "traced";
        case TraceState::in_part: return "in part";
        case TraceState::not_traced: return "not traced";
        default: return "unknown";
    }
}

std::string finding_text(const Finding& finding) {
    std::string text = reason_text(finding.reason);
    if (!finding.detail.empty()) text += " (" + finding.detail + ')';
    return text;
}

Judgement judge(const ProcessFacts& facts, const Membership& membership) {
    Judgement out;
    if (membership.is_agent) return {TraceState::not_traced, {{Reason::remora_itself, {}}}};
    // Who claimed a lane is attached, even where we may not see what it maps.
    if (!facts.mapped.attached() && membership.owner == nullptr)
        out.findings = {why_not_attached(facts, membership)};
    else if (auto finding = why_not_recorded(facts, membership))
        out.findings = {std::move(*finding)};
    else
        out.findings = what_is_missing(facts, membership);
    if (!out.findings.empty()) out.state = reason_state(out.findings[0].reason);
    return out;
}

}  // namespace remora
