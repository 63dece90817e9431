// SPDX-License-Identifier: Apache-2.0
#include "agent/main/ps_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/base/printable.h"
#include "agent/base/text_table.h"
#include "agent/inspect/process_survey.h"
#include "agent/main/process_output.h"
#include "agent/view/terminal_style.h"

namespace remora {

namespace {

constexpr size_t service_columns = 20;

std::string count_text(uint64_t count) { return count == 0 ? "" : std::to_string(count); }

// The program without its folders: arguments tell more.
std::string short_command(const ProcessFacts& facts) {
    ProcessFacts shortened;
    shortened.name = facts.name;
    shortened.arguments = facts.arguments;
    if (!shortened.arguments.empty())
        shortened.arguments[0] = std::string(file_name(shortened.arguments[0]));
    return command_text(shortened);
}

std::string why_text(const Judgement& judgement, bool unicode) {
    if (judgement.findings.empty()) return {};
    std::string text = printable(finding_text(judgement.findings[0]), unicode);
    if (const size_t more = judgement.findings.size() - 1; more != 0)
        text += "; " + std::to_string(more) + " more: remora inspect";
    return text;
}

std::string table(const std::vector<SurveyedProcess>& processes, bool several_sessions) {
    const bool unicode = TerminalStyle::of(STDOUT_FILENO, std::getenv).unicode;
    const size_t width = terminal_width(STDOUT_FILENO);
    TextColumn pid{"PID", true}, session{"RUN", true}, state{"STATE"};
    TextColumn service{"SERVICE", false, service_columns};
    TextColumn command{"COMMAND", false, width == 0 ? 60 : std::clamp<size_t>(width / 3, 16, 60)};
    TextColumn open{"OPEN", true}, lost{"LOST", true}, why{"WHY"};
    for (const SurveyedProcess& process : processes) {
        pid.cells.push_back(std::to_string(process.facts.pid));
        session.cells.push_back(
            several_sessions && process.agent_pid != 0 ? std::to_string(process.agent_pid) : "");
        state.cells.push_back(state_text(process.judgement.state));
        service.cells.push_back(service_text(process));
        command.cells.push_back(short_command(process.facts));
        open.cells.push_back(count_text(process.lanes ? process.lanes->open_exchanges : 0));
        lost.cells.push_back(count_text(process.lost));
        why.cells.push_back(why_text(process.judgement, unicode));
    }
    return format_table({pid, session, state, service, command, open, lost, why}, width, unicode);
}

}  // namespace

int ps_command(const PsOptions& options) {
    ProcessSurvey survey;
    survey.look();
    const std::vector<SurveyedProcess> processes = survey.processes(options.all);
    if (options.json) {
        auto document = nlohmann::ordered_json::array();
        for (const SurveyedProcess& process : processes) document.push_back(process_json(process));
        return print_json(document, 0);
    }
    if (processes.empty())
        return print_text("Nothing is traced just now. To trace a program: remora run -- PROGRAM\n",
                          0);
    return print_text(table(processes, survey.sessions().size() > 1), 0);
}

}  // namespace remora
