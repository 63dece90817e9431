// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/process_survey.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>

#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/ingest/proc_files.h"

namespace remora {

namespace {

using namespace std::chrono_literals;
constexpr int ancestors_max = 1024;

bool contains(const std::vector<uint64_t>& inodes, uint64_t inode) {
    return std::find(inodes.begin(), inodes.end(), inode) != inodes.end();
}

// REMORA_SESSION=1:<agent pid>:<fd>:<fd>:<32 digits>[:t]; empty: something else stands there.
struct SessionVariable {
    int agent_pid = 0;
    std::string_view id;
};
SessionVariable session_variable(const ProcessFacts& facts) {
    const auto fields = split_list(facts.variable(REMORA_SESSION_VARIABLE), ':');
    SessionVariable out;
    if (fields.size() < 5 || fields[4].size() != 32) return out;
    std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), out.agent_pid);
    out.id = fields[4];
    return out;
}

// A lane names its owner by the pid that this has in its own namespace, and can't be older than the
// process is.
const LaneOwner* owner_of(const ProcessFacts& facts, const SessionMemory* session) {
    if (session == nullptr) return nullptr;
    for (const LaneOwner& owner : session->owners) {
        const bool same_namespace = facts.pid_namespace == 0 || owner.process.pid_namespace == 0 ||
                                    facts.pid_namespace == owner.process.pid_namespace;
        if (owner.process.pid == facts.own_pid && same_namespace &&
            owner.process.claimed_boot_ns >= facts.start_ns)
            return &owner;
    }
    return nullptr;
}

bool may_be_starting(const Judgement& judgement) {
    if (judgement.findings.empty()) return false;
    const Reason reason = judgement.findings[0].reason;
    return reason == Reason::library_not_loaded || reason == Reason::session_unreachable ||
           reason == Reason::environment_cleared || reason == Reason::session_lost;
}

bool is_silent(const SessionMemory& session) {
    const uint64_t now = monotonic_ns();
    return now > session.heartbeat_ns && now - session.heartbeat_ns > REMORA_HEARTBEAT_LIMIT_NS;
}

}  // namespace

void ProcessSurvey::look() {
    for (const int pid : visible_processes())
        if (auto facts = read_process_outline(pid); facts && !facts->kernel_thread())
            outlines_.emplace(pid, std::move(*facts));
    find_sessions();
    for (const auto& [pid, facts] : outlines_) tie(pid, 0);
}

// An agent maps its lanes and control page as its programs do, but holds them open, too. A program
// that opens its agent's files would look the same: the first of them was the agent.
void ProcessSurvey::find_sessions() {
    std::map<uint64_t, int> agent_of;  // by the inode of the lanes
    for (const auto& [pid, facts] : outlines_) {
        if (!facts.mapped.attached()) continue;
        auto memory = read_session_memory(pid);
        if (!memory) continue;
        const auto [known, is_new] = agent_of.emplace(memory->lanes_inode, pid);
        if (!is_new) {
            if (outlines_.at(known->second).start_ns <= facts.start_ns) continue;
            sessions_.erase(known->second);
            known->second = pid;
        }
        sessions_[pid] = std::move(*memory);
    }
    for (const auto& [pid, memory] : sessions_) {
        agents_[pid] = outlines_.at(pid);
        read_process_details(agents_[pid]);
    }
}

const SessionMemory* ProcessSurvey::session_of_id(std::string_view id) const {
    for (const auto& [pid, memory] : sessions_)
        if (!id.empty() && memory.id == id) return &memory;
    return nullptr;
}

ProcessSurvey::Tie ProcessSurvey::own_tie(const ProcessFacts& facts) const {
    const std::string_view id = session_variable(facts).id;
    for (const auto& [pid, memory] : sessions_)
        if (pid != facts.pid && (contains(facts.mapped.lanes, memory.lanes_inode) ||
                                 contains(facts.mapped.control_pages, memory.control_inode)))
            return {true, &memory};
    return {facts.mapped.attached() || !id.empty(), session_of_id(id)};
}

void ProcessSurvey::tie(int pid, int depth) {
    const auto facts = outlines_.find(pid);
    if (facts == outlines_.end() || ties_.count(pid) != 0 || depth > ancestors_max) return;
    ties_[pid] = {};  // parents that changed while we looked could form a ring
    Tie own = sessions_.count(pid) != 0 ? Tie{} : own_tie(facts->second);
    if (!own.member) {
        const int parent = facts->second.parent;
        tie(parent, depth + 1);
        if (const auto session = sessions_.find(parent); session != sessions_.end())
            own = {true, &session->second};
        else if (const auto above = ties_.find(parent); above != ties_.end())
            own = above->second;
    }
    ties_[pid] = own;
}

// The agent, and its child that only watches signals; also a child that is about to become the
// program.
bool ProcessSurvey::is_agent_or_helper(const ProcessFacts& facts) const {
    if (sessions_.count(facts.pid) != 0 || facts.pid == ::getpid()) return true;
    const auto agent = sessions_.find(facts.parent);
    return agent != sessions_.end() && !facts.executable.empty() &&
           facts.executable == outlines_.at(facts.parent).executable &&
           facts.arguments == outlines_.at(facts.parent).arguments;
}

SurveyedProcess ProcessSurvey::survey_once(ProcessFacts facts) const {
    read_process_details(facts);
    Tie tie;
    if (const auto known = ties_.find(facts.pid); known != ties_.end()) tie = known->second;
    const LaneOwner* owner = owner_of(facts, tie.session);
    Membership membership;
    membership.member = tie.member;
    membership.is_agent = sessions_.count(facts.pid) != 0;
    membership.memory = tie.session;
    membership.owner = owner;
    if (tie.session == nullptr) {
        const auto agent = outlines_.find(session_variable(facts).agent_pid);
        membership.agent_hidden =
            agent != outlines_.end() && agent->second.access != Access::allowed;
    } else {
        const ProcessFacts& agent = agents_.at(tie.session->agent_pid);
        membership.agent_silent = is_silent(*tie.session);
        membership.agent_seccomp_mode = agent.seccomp_mode;
        membership.agent_filters = agent.seccomp_filters;
    }
    SurveyedProcess out;
    out.judgement = judge(facts, membership);
    out.agent_pid = tie.session != nullptr ? tie.session->agent_pid : 0;
    if (owner != nullptr) {
        for (const uint64_t count : owner->lost)
            out.lost = count > UINT64_MAX - out.lost ? UINT64_MAX : out.lost + count;
        out.lanes = *owner;
    }
    out.facts = std::move(facts);
    return out;
}

std::optional<SurveyedProcess> ProcessSurvey::survey(int pid) const {
    auto facts = read_process_outline(pid);
    if (!facts || facts->start_ns != outlines_.at(pid).start_ns) return std::nullopt;
    SurveyedProcess out = survey_once(std::move(*facts));
    if (!read_process_stat(pid)) return std::nullopt;  // the details may be those of nobody
    return out;
}

// A process that is being started looks as if the library had been lost on the way: between its
// exec and the library's first line. All of these are looked at again before that is said of them.
std::vector<SurveyedProcess> ProcessSurvey::survey_all(std::vector<int> pids) const {
    constexpr int looks = 30;
    constexpr auto pause = 10ms;
    std::map<int, SurveyedProcess> found;
    for (int look = 1; !pids.empty(); ++look) {
        std::vector<int> starting;
        for (const int pid : pids) {
            found.erase(pid);
            auto process = survey(pid);
            if (!process) continue;
            if (may_be_starting(process->judgement)) starting.push_back(pid);
            found.emplace(pid, std::move(*process));
        }
        if (look == looks) break;
        if (!starting.empty()) std::this_thread::sleep_for(pause);
        pids = std::move(starting);
    }
    std::vector<SurveyedProcess> out;
    out.reserve(found.size());
    for (auto& [pid, process] : found) out.push_back(std::move(process));
    return out;
}

std::vector<SurveyedProcess> ProcessSurvey::processes(bool all) const {
    std::vector<int> pids;
    for (const auto& [pid, facts] : outlines_) {
        if (is_agent_or_helper(facts)) continue;
        if (ties_.at(pid).member || (all && facts.access == Access::allowed)) pids.push_back(pid);
    }
    return survey_all(std::move(pids));
}

std::optional<SurveyedProcess> ProcessSurvey::process(int pid) const {
    if (outlines_.count(pid) == 0) return std::nullopt;
    auto found = survey_all({pid});
    if (found.empty()) return std::nullopt;
    return std::move(found[0]);
}

}  // namespace remora
