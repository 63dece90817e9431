// SPDX-License-Identifier: Apache-2.0
// A look at all processes: which `remora run` sessions there are, and who belongs to which. A
// process belongs to the session whose memory it maps, whose id stands in its environment, or which
// its nearest ancestor belongs to. One look, at the time of look(); not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/inspect/process_facts.h"
#include "agent/inspect/reasons.h"
#include "agent/inspect/session_memory.h"

namespace remora {

struct SurveyedProcess {
    ProcessFacts facts;
    Judgement judgement;
    int agent_pid = 0;  // of the session; 0: of none, or its agent is gone
    uint64_t lost = 0;  // all reasons
    uint32_t open_exchanges = 0;
    std::optional<LaneOwner> lanes;
};

class ProcessSurvey {
public:
    void look();

    [[nodiscard]] const std::map<int, SessionMemory>& sessions() const { return sessions_; }
    // Members of sessions; `all`: every other one that we may look at, too. By pid. Remora's own
    // processes are not among them.
    // Takes up to a third of a second where a process seems to be just starting.
    [[nodiscard]] std::vector<SurveyedProcess> processes(bool all) const;
    // Nothing: no such process.
    [[nodiscard]] std::optional<SurveyedProcess> process(int pid) const;

private:
    struct Tie {
        bool member = false;
        const SessionMemory* session = nullptr;
    };
    void find_sessions();
    void tie(int pid, int depth);
    [[nodiscard]] Tie own_tie(const ProcessFacts& facts) const;
    [[nodiscard]] const SessionMemory* session_of_id(std::string_view id) const;
    [[nodiscard]] bool is_agent_or_helper(const ProcessFacts& facts) const;
    // Nothing: it has ended meanwhile.
    [[nodiscard]] std::optional<SurveyedProcess> survey(int pid) const;
    [[nodiscard]] std::vector<SurveyedProcess> survey_all(std::vector<int> pids) const;
    [[nodiscard]] SurveyedProcess survey_once(ProcessFacts facts) const;

    std::map<int, ProcessFacts> outlines_;
    std::map<int, SessionMemory> sessions_;  // by the agent's pid
    std::map<int, ProcessFacts> agents_;     // with details
    std::map<int, Tie> ties_;
};

}  // namespace remora
