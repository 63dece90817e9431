// SPDX-License-Identifier: Apache-2.0
#include "agent/main/doctor_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "agent/base/printable.h"
#include "agent/base/text_table.h"
#include "agent/base/utf8.h"
#include "agent/config/parse_value.h"
#include "agent/control/child_environment.h"
#include "agent/export/otlp_exporter.h"
#include "agent/ingest/proc_files.h"
#include "agent/inspect/machine_checks.h"
#include "agent/main/preload_trial.h"
#include "agent/main/process_output.h"

namespace remora {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
constexpr auto collector_time = 2s;
constexpr const char* probes_title =
    "Kernel probes: not part of this version yet; this machine would allow:";

// Sends no span at all, which every collector accepts.
std::string try_collector(const OtlpConfig& config) {
    auto exporter = make_otlp_exporter(
        config, [](remora_loss, uint64_t) {}, 1, [](auto&&...) {});
    if (!exporter) return exporter.error().text();
    const auto deadline = Clock::now() + collector_time;
    (*exporter)->hurry(deadline);
    const auto sent = (*exporter)->export_spans({}, deadline);
    return sent ? std::string{} : sent.error().text();
}

MachineFacts find_facts(const Config& config) {
    MachineFacts facts = read_machine_facts();
    const auto library = find_library();
    if (library)
        facts.library = *library;
    else
        facts.library_problem = library.error().text();
    // Any file is read this way, not only those of /proc.
    if (library)
        facts.library_needs = newest_glibc_version(read_proc_file(*library, size_t{4} << 20));
    const PreloadTrial trial = try_preload(facts.library);
    facts.shared_memory_problem = trial.shared_memory_problem;
    facts.preload_problem = trial.preload_problem;
    facts.other_users_problem = trial.other_users_problem;
    if (config.otlp.enabled) {
        facts.collector = without_secrets(config.otlp.endpoint);
        facts.collector_problem = try_collector(config.otlp);
    }
    return facts;
}

std::string line_of(const Check& check, size_t names, size_t width) {
    constexpr size_t readable = 30;  // fewer columns than this, and the text goes below
    constexpr size_t below = 6;
    const size_t beside = 2 + names + 2 + 4 + 2;
    std::string text = check.text;
    if (check.verdict != Verdict::ok && !check.help.empty()) text += "; " + check.help;
    text = printable(text);
    const std::string head =
        fmt::format("  {:<{}}  {:<4}", check.name, names, verdict_text(check.verdict));
    if (width == 0 || beside + readable <= width)
        return head + "  " + wrap_text(text, beside, width) + '\n';
    return head + '\n' + std::string(below, ' ') + wrap_text(text, below, width) + '\n';
}

std::string text_of(const MachineReport& report, size_t width) {
    size_t names = 0;
    for (const auto* group : {&report.run, &report.probes, &report.collector})
        for (const Check& check : *group) names = std::max(names, check.name.size());
    std::string out;
    const auto add = [&](const std::string& title, const std::vector<Check>& checks) {
        if (checks.empty()) return;
        out += (out.empty() ? "" : "\n") + wrap_text(title, 0, width) + '\n';
        for (const Check& check : checks) out += line_of(check, names, width);
    };
    add("remora run", report.run);
    add("Collector", report.collector);
    add(probes_title, report.probes);
    out += report.good() ? "\nPrograms can be traced here.\n"
                         : "\nSomething is missing: see the lines that say \"no\" above.\n";
    return out;
}

nlohmann::ordered_json json_of(const std::vector<Check>& checks) {
    auto out = nlohmann::ordered_json::array();
    for (const Check& check : checks)
        out.push_back({{"check", check.name},
                       {"verdict", verdict_text(check.verdict)},
                       {"text", sanitize_utf8(check.text)},
                       {"help", sanitize_utf8(check.help)}});
    return out;
}

}  // namespace

int doctor_command(const DoctorOptions& options, const LoadedConfig& loaded) {
    const MachineReport report = check_machine(find_facts(loaded.config));
    const int status = report.good() ? 0 : 1;
    if (!options.json) return print_text(text_of(report, terminal_width(STDOUT_FILENO)), status);
    nlohmann::ordered_json document;
    document["good"] = report.good();
    document["run"] = json_of(report.run);
    document["collector"] = json_of(report.collector);
    document["probes"] = json_of(report.probes);
    return print_json(document, status);
}

}  // namespace remora
