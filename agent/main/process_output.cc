// SPDX-License-Identifier: Apache-2.0
#include "agent/main/process_output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/printable.h"
#include "agent/base/utf8.h"
#include "agent/base/write_all.h"
#include "agent/main/messages.h"
#include "agent/span/resource_table.h"

namespace remora {

namespace {

nlohmann::ordered_json losses_json(const LaneOwner& owner) {
    auto losses = nlohmann::ordered_json::object();
    for (unsigned reason = 0; reason < REMORA_LOSS_COUNT; ++reason)
        if (owner.lost[reason] != 0) losses[loss_name(reason)] = owner.lost[reason];
    return losses;
}

}  // namespace

std::string service_text(const SurveyedProcess& process) {
    if (!process.lanes) return printable(process.facts.variable("OTEL_SERVICE_NAME"));
    ResourceTable resources{{}, [](remora_loss, uint64_t) {}};
    resources.update(process.lanes->process);
    const auto resource = resources.find(process.lanes->process.image, process.lanes->process.pid);
    const std::string* name = resource->text("service.name");
    return name != nullptr ? printable(*name) : std::string{};
}

std::string command_text(const ProcessFacts& facts) {
    std::string text;
    for (const std::string& argument : facts.arguments) {
        if (!text.empty()) text += ' ';
        text += argument;
    }
    if (text.find_first_not_of(' ') == std::string::npos) text = '[' + facts.name + ']';
    return printable(text);
}

nlohmann::ordered_json process_json(const SurveyedProcess& process) {
    nlohmann::ordered_json out;
    out["pid"] = process.facts.pid;
    out["session"] = process.agent_pid;
    out["service"] = service_text(process);
    out["command"] = command_text(process.facts);
    out["state"] = state_text(process.judgement.state);
    out["reasons"] = nlohmann::ordered_json::array();
    for (const Finding& finding : process.judgement.findings)
        out["reasons"].push_back({{"reason", reason_name(finding.reason)},
                                  {"text", reason_text(finding.reason)},
                                  {"detail", sanitize_utf8(finding.detail)},
                                  {"help", reason_help(finding.reason)}});
    if (process.lanes) {
        out["open_exchanges"] = process.lanes->open_exchanges;
        out["losses"] = losses_json(*process.lanes);
    }
    return out;
}

void add_details(const SurveyedProcess& process, nlohmann::ordered_json& out) {
    const ProcessFacts& facts = process.facts;
    out["parent"] = facts.parent;
    out["user"] = facts.user;
    out["effective_user"] = facts.effective_user;
    out["executable"] = sanitize_utf8(facts.executable);
    if (facts.elf) {
        out["elf"] = {{"x86_64", facts.elf->x86_64},
                      {"interpreter", sanitize_utf8(facts.elf->interpreter)},
                      {"go", facts.elf->go}};
    }
    out["library"] = sanitize_utf8(facts.mapped.find("libremora"));
    out["libssl"] = sanitize_utf8(facts.mapped.find("libssl"));
    out["libgnutls"] = sanitize_utf8(facts.mapped.find("libgnutls"));
    out["linked_tls"] = facts.linked_tls;
    out["io_uring"] = facts.io_uring;
    out["seccomp_mode"] = facts.seccomp_mode;
    out["no_new_privileges"] = facts.no_new_privileges;
    out["cgroup"] = sanitize_utf8(facts.cgroup);
    out["container"] = facts.container();
    out["other_agents"] = nlohmann::ordered_json::array();
    for (const OtherAgent& agent : facts.other_agents)
        out["other_agents"].push_back(
            {{"name", sanitize_utf8(agent.name)}, {"evidence", sanitize_utf8(agent.evidence)}});
}

int print_text(const std::string& text, int status) {
    const auto written = write_all(STDOUT_FILENO, text);
    // A reader that has seen enough (head) is no failure.
    if (written || written.error().number == EPIPE) return status;
    say("cannot write to standard output: {}", std::strerror(written.error().number));
    return exit_failed;
}

int print_json(const nlohmann::ordered_json& document, int status) {
    return print_text(document.dump(2) + '\n', status);
}

}  // namespace remora
