// SPDX-License-Identifier: Apache-2.0
// Each reason from made-up facts: one that is traced, with one thing changed.
#include "agent/inspect/reasons.h"

#include <elf.h>
#include <gmock/gmock.h>

namespace remora {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ElfFile dynamic_elf() {
    ElfFile elf;
    elf.x86_64 = elf.is_64_bit = elf.dynamic = true;
    elf.machine = EM_X86_64;
    elf.interpreter = "/lib64/ld-linux-x86-64.so.2";
    elf.needed = {"libc.so.6"};
    return elf;
}

class Judge : public testing::Test {
protected:
    Judge() {
        facts.pid = 100;
        facts.arguments = {"/usr/bin/service"};
        facts.executable = "/usr/bin/service";
        facts.elf = dynamic_elf();
        facts.secure = false;
        facts.environment_known = true;
        facts.variables = {"LD_PRELOAD=/usr/lib/libremora.so", "REMORA_SESSION=1:2:3:4:x"};
        facts.mapped.paths = {"/usr/bin/service", "/usr/lib/libremora.so", "/lib/libc.so.6"};
        facts.mapped.lanes = {7};
        memory.lanes_left = 5;
        membership.member = true;
        membership.memory = &memory;
        membership.owner = &owner;
    }
    // Nothing of ours in it.
    void detach() {
        facts.mapped.lanes.clear();
        facts.mapped.paths = {"/usr/bin/service"};
        membership.owner = nullptr;
    }
    std::vector<std::string> reasons() {
        const Judgement judgement = judge(facts, membership);
        std::vector<std::string> names;
        for (const Finding& finding : judgement.findings)
            names.emplace_back(reason_name(finding.reason));
        state = judgement.state;
        EXPECT_EQ(names.empty(), state == TraceState::traced);
        return names;
    }
    void expect_not_traced(const char* reason) {
        EXPECT_THAT(reasons(), ElementsAre(reason));
        EXPECT_EQ(state, TraceState::not_traced);
    }
    void expect_in_part(const char* reason) {
        EXPECT_THAT(reasons(), ElementsAre(reason));
        EXPECT_EQ(state, TraceState::in_part);
    }

    ProcessFacts facts;
    SessionMemory memory;
    LaneOwner owner;
    Membership membership;
    TraceState state = TraceState::unknown;
};

TEST_F(Judge, FindsNothingWrong) { EXPECT_THAT(reasons(), IsEmpty()); }

TEST_F(Judge, AProgramThatHasOnlyTheLanesMapped) {
    membership.owner = nullptr;
    EXPECT_THAT(reasons(), IsEmpty());
}

TEST_F(Judge, OneThatMayNotBeLookedAtButHoldsALane) {
    facts.access = Access::denied;
    facts.mapped = {};
    facts.variables.clear();
    EXPECT_THAT(reasons(), IsEmpty());
}

TEST_F(Judge, StaticallyLinked) {
    detach();
    facts.elf->interpreter.clear();
    facts.elf->needed.clear();
    expect_not_traced("statically_linked");
}

TEST_F(Judge, Go) {
    detach();
    facts.elf->go = true;
    expect_not_traced("go");
}

TEST_F(Judge, Privileged) {
    detach();
    facts.secure = true;
    expect_not_traced("privileged");
    // Where the auxiliary vector is hidden, by its users.
    facts.secure.reset();
    facts.access = Access::denied;
    facts.effective_user = 1000;
    expect_not_traced("privileged");
    facts.effective_user = 0;
    facts.effective_group = 5;
    expect_not_traced("privileged");
    facts.effective_group = 0;
    facts.file_capabilities = 1 << 13;
    expect_not_traced("privileged");
}

TEST_F(Judge, OtherArchitecture) {
    detach();
    facts.elf->x86_64 = false;
    facts.elf->machine = EM_AARCH64;
    expect_not_traced("other_architecture");
    EXPECT_EQ(judge(facts, membership).findings[0].detail, "64-bit ARM");
}

TEST_F(Judge, OtherLibc) {
    detach();
    facts.elf->interpreter = "/lib/ld-musl-x86_64.so.1";
    expect_not_traced("other_libc");
}

TEST_F(Judge, NoLibc) {
    detach();
    facts.elf->needed = {"libm.so.6"};
    expect_not_traced("no_libc");
}

TEST_F(Judge, Disabled) {
    detach();
    facts.variables.emplace_back("REMORA_DISABLE=1");
    expect_not_traced("disabled");
}

TEST_F(Judge, DisabledByItsAgent) {
    memory.switches = REMORA_SWITCH_DISABLED;
    expect_not_traced("disabled");
}

TEST_F(Judge, RecordingOff) {
    memory.switches = REMORA_SWITCH_SDK_DISABLED;
    expect_not_traced("recording_off");
    memory.switches = 0;
    memory.sampler = REMORA_SAMPLER_ALWAYS_OFF;
    expect_not_traced("recording_off");
    facts.variables.emplace_back("OTEL_TRACES_SAMPLER=always_on");
    EXPECT_THAT(reasons(), IsEmpty());
    memory.switches = REMORA_SWITCH_SAMPLER_FORCED;
    expect_not_traced("recording_off");
    memory.sampler = REMORA_SAMPLER_ALWAYS_ON;
    facts.variables.back() = "OTEL_TRACES_SAMPLER=always_off";
    EXPECT_THAT(reasons(), IsEmpty());
    memory.switches = 0;
    expect_not_traced("recording_off");
    facts.variables.back() = "OTEL_SDK_DISABLED=true";
    expect_not_traced("recording_off");
}

TEST_F(Judge, RemoraItself) {
    membership = Membership{};
    membership.is_agent = true;
    expect_not_traced("remora_itself");
}

TEST_F(Judge, AgentGone) {
    membership.agent_silent = true;
    expect_not_traced("agent_gone");
    membership.memory = nullptr;
    membership.owner = nullptr;
    expect_not_traced("agent_gone");
    membership.agent_hidden = true;  // it belongs to somebody else, and lives
    EXPECT_THAT(reasons(), IsEmpty());
}

TEST_F(Judge, OtherVersion) {
    memory.other_version = true;
    expect_not_traced("other_version");
}

TEST_F(Judge, EnvironmentCleared) {
    detach();
    facts.variables.clear();
    expect_not_traced("environment_cleared");
    facts.variables = {"LD_PRELOAD=/usr/lib/other.so"};
    expect_not_traced("environment_cleared");
}

TEST_F(Judge, LibraryNotLoaded) {
    detach();
    expect_not_traced("library_not_loaded");
}

TEST_F(Judge, SessionLost) {
    detach();
    facts.mapped.paths.emplace_back("/usr/lib/libremora.so");
    facts.variables = {"LD_PRELOAD=/usr/lib/libremora.so"};
    expect_not_traced("session_lost");
}

TEST_F(Judge, SessionUnreachable) {
    detach();
    facts.mapped.paths.emplace_back("/usr/lib/libremora.so");
    expect_not_traced("session_unreachable");
}

TEST_F(Judge, NotStartedByRemora) {
    detach();
    facts.variables.clear();
    membership = Membership{};
    expect_not_traced("not_started_by_remora");
}

TEST_F(Judge, Hidden) {
    detach();
    facts.access = Access::denied;
    facts.secure.reset();
    EXPECT_THAT(reasons(), ElementsAre("hidden"));
    EXPECT_EQ(state, TraceState::unknown);
}

TEST_F(Judge, StaticTls) {
    facts.linked_tls = "OpenSSL";
    expect_in_part("static_tls");
    EXPECT_THAT(finding_text(judge(facts, membership).findings[0]),
                testing::HasSubstr("(OpenSSL)"));
}

TEST_F(Judge, JavaTls) {
    facts.mapped.paths.emplace_back("/usr/lib/jvm/lib/server/libjvm.so");
    expect_in_part("java_tls");
}

TEST_F(Judge, OtherTls) {
    facts.mapped.paths.emplace_back("/usr/lib/libmbedtls.so.14");
    expect_in_part("other_tls");
}

TEST_F(Judge, OtherTlsThatTheShimMet) {
    owner.lost[REMORA_LOSS_tls_library_unknown] = 1;
    expect_in_part("other_tls");
}

TEST_F(Judge, KnownTlsIsNoReason) {
    facts.mapped.paths.emplace_back("/usr/lib/libssl.so.3");
    facts.mapped.paths.emplace_back("/usr/lib/libgnutls.so.30");
    EXPECT_THAT(reasons(), IsEmpty());
}

TEST_F(Judge, TlsNotFollowed) {
    owner.lost[REMORA_LOSS_tls_table_full] = 2;
    expect_in_part("tls_not_followed");
}

TEST_F(Judge, IoUring) {
    facts.io_uring = true;
    expect_in_part("io_uring");
}

TEST_F(Judge, Seccomp) {
    facts.seccomp_mode = 2;
    expect_in_part("seccomp");
    // A container's filter was on before the agent started.
    membership.agent_seccomp_mode = 2;
    EXPECT_THAT(reasons(), IsEmpty());
    facts.seccomp_filters = 1;
    membership.agent_filters = 1;
    EXPECT_THAT(reasons(), IsEmpty());
    facts.seccomp_filters = 2;
    expect_in_part("seccomp");
}

TEST_F(Judge, StdioOnASocket) {
    owner.lost[REMORA_LOSS_stdio_on_a_socket] = 1;
    expect_in_part("stdio_on_a_socket");
}

TEST_F(Judge, NoLane) {
    owner.lost[REMORA_LOSS_no_lane] = 1;
    expect_in_part("no_lane");
    // It has none at all, and there is none for it.
    membership.owner = nullptr;
    EXPECT_THAT(reasons(), IsEmpty());
    memory.lanes_left = 0;
    expect_in_part("no_lane");
}

TEST_F(Judge, RecordsLost) {
    owner.lost[REMORA_LOSS_ring_full] = 3;
    expect_in_part("records_lost");
}

TEST_F(Judge, WhatWasLeftAloneIsNoReason) {
    owner.lost[REMORA_LOSS_not_injected_no_room] = 3;
    owner.lost[REMORA_LOSS_parser_gave_up] = 3;
    EXPECT_THAT(reasons(), IsEmpty());
}

TEST_F(Judge, OtherAgent) {
    facts.other_agents = {{"Datadog", "/x"}};
    expect_in_part("other_agent");
}

TEST_F(Judge, SeveralReasonsAreAllNamed) {
    facts.linked_tls = "OpenSSL";
    facts.io_uring = true;
    facts.other_agents = {{"Datadog", "/x"}, {"AppScope", "/y"}};
    EXPECT_THAT(reasons(), ElementsAre("static_tls", "io_uring", "other_agent", "other_agent"));
}

TEST(LossAdvice, SurvivesAnyNumber) {
    for (unsigned reason = 0; reason < REMORA_LOSS_REASONS_MAX + 10; ++reason) {
        EXPECT_NE(loss_name(reason), nullptr);
        EXPECT_NE(loss_meaning(reason), nullptr);
        (void)loss_help(reason);
    }
}

}  // namespace
}  // namespace remora
