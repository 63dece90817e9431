// SPDX-License-Identifier: Apache-2.0
#include "agent/main/inspect_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/printable.h"
#include "agent/base/text_table.h"
#include "agent/inspect/elf_target.h"
#include "agent/inspect/process_survey.h"
#include "agent/main/messages.h"
#include "agent/main/process_output.h"

namespace remora {

namespace {

constexpr size_t label_columns = 14;

// "label         text", wrapped at the terminal's width. Texts of other origin come in printable.
class Sheet {
public:
    explicit Sheet(size_t width) : width_(width) {}
    void line(std::string_view label, const std::string& text) {
        if (text.empty()) return;
        text_ += fmt::format("{:<{}}", label, label_columns) +
                 wrap_text(printable(text), label_columns, width_) + '\n';
    }
    void gap() { text_ += '\n'; }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    size_t width_;
    std::string text_;
};

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
}

std::string program_text(const ProcessFacts& facts) {
    if (!facts.elf) return facts.executable;
    const ElfFile& elf = *facts.elf;
    std::vector<std::string> kind;
    kind.push_back(elf.x86_64 ? "64-bit x86" : architecture_name(elf));
    if (elf.go) kind.emplace_back("Go");
    if (elf.x86_64) kind.push_back(elf.interpreter.empty() ? "no dynamic linker" : elf.interpreter);
    return fmt::format("{} ({})", facts.executable, joined(kind));
}

std::string tls_text(const ProcessFacts& facts) {
    std::vector<std::string> found;
    if (!facts.linked_tls.empty()) found.push_back(facts.linked_tls + " inside the executable");
    for (const std::string& path : facts.mapped.paths) {
        const std::string_view name = file_name(path);
        for (const std::string_view library :
             {"libssl", "libgnutls", "libnss3", "libmbedtls", "libwolfssl", "libs2n", "cygrpc"})
            if (name.substr(0, library.size()) == library) found.push_back(path);
    }
    return joined(found);
}

std::string runtime_text(const ProcessFacts& facts) {
    if (facts.elf && facts.elf->go) return "Go";
    return facts.mapped.find("libjvm.so").empty() ? "" : "Java";
}

std::string user_text(const ProcessFacts& facts) {
    if (facts.user == facts.effective_user) return std::to_string(facts.user);
    return fmt::format("{}, effective {}", facts.user, facts.effective_user);
}

std::string sandbox_text(const ProcessFacts& facts) {
    std::vector<std::string> found;
    if (facts.seccomp_mode == 1) found.emplace_back("seccomp, strict");
    if (facts.seccomp_mode == 2)
        found.push_back(facts.seccomp_filters
                            ? fmt::format("seccomp, {} filter{}", *facts.seccomp_filters,
                                          *facts.seccomp_filters == 1 ? "" : "s")
                            : "seccomp filter");
    if (facts.no_new_privileges) found.emplace_back("no new privileges");
    return joined(found);
}

std::string session_text(const SurveyedProcess& process) {
    if (process.agent_pid == 0) return {};
    std::string text = fmt::format("of remora run, pid {}", process.agent_pid);
    if (process.lanes)
        text += fmt::format("; {} lane{}, {} open exchange{}", process.lanes->lanes,
                            process.lanes->lanes == 1 ? "" : "s", process.lanes->open_exchanges,
                            process.lanes->open_exchanges == 1 ? "" : "s");
    return text;
}

// What else is preloaded. Blanks and colons separate.
std::string other_preloads(const ProcessFacts& facts) {
    std::vector<std::string> others;
    std::string_view list = facts.variable("LD_PRELOAD");
    while (!list.empty()) {
        const size_t end = std::min(list.find_first_of(": \t"), list.size());
        const std::string_view entry = list.substr(0, end);
        if (!entry.empty() && file_name(entry).substr(0, 9) != "libremora")
            others.emplace_back(entry);
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return joined(others);
}

void add_losses(const SurveyedProcess& process, Sheet& sheet) {
    if (!process.lanes || process.lost == 0) return;
    sheet.gap();
    for (unsigned reason = 0; reason < REMORA_LOSS_COUNT; ++reason) {
        const uint64_t count = process.lanes->lost[reason];
        if (count == 0) continue;
        sheet.line("lost", fmt::format("{} x {}", count, loss_meaning(reason)));
        if (const char* help = loss_help(reason)) sheet.line("", help);
    }
}

std::string sheet_of(const SurveyedProcess& process, size_t width) {
    const ProcessFacts& facts = process.facts;
    Sheet sheet{width};
    sheet.line("process", fmt::format("{}  {}", facts.pid, command_text(facts)));
    sheet.line("state", state_text(process.judgement.state));
    for (const Finding& finding : process.judgement.findings) {
        sheet.line("why", finding_text(finding));
        sheet.line("", reason_help(finding.reason));
    }
    sheet.gap();
    sheet.line("service", service_text(process));
    sheet.line("session", session_text(process));
    sheet.line("program", program_text(facts));
    sheet.line("library", facts.mapped.find("libremora"));
    sheet.line("TLS", tls_text(facts));
    sheet.line("runtime", runtime_text(facts));
    sheet.line("user", user_text(facts));
    if (facts.secure.value_or(false)) sheet.line("secure", "AT_SECURE is set");
    sheet.line("sandbox", sandbox_text(facts));
    if (facts.io_uring) sheet.line("io_uring", "a ring is open");
    for (const OtherAgent& agent : facts.other_agents)
        sheet.line("other agent", fmt::format("{}: {}", agent.name, agent.evidence));
    sheet.line("LD_PRELOAD", other_preloads(facts));
    sheet.line("container", facts.container());
    sheet.line("cgroup", facts.cgroup == "/" ? "" : facts.cgroup);
    add_losses(process, sheet);
    return sheet.text();
}

}  // namespace

int inspect_command(const InspectOptions& options) {
    ProcessSurvey survey;
    survey.look();
    const auto process = survey.process(options.pid);
    if (!process) {
        say("there is no process {}", options.pid);
        return exit_usage;
    }
    const int status = process->judgement.state == TraceState::traced ? 0 : 1;
    if (options.json) {
        auto document = process_json(*process);
        add_details(*process, document);
        return print_json(document, status);
    }
    return print_text(sheet_of(*process, terminal_width(STDOUT_FILENO)), status);
}

}  // namespace remora
