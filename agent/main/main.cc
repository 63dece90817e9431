// SPDX-License-Identifier: Apache-2.0
// The remora executable. The only place where exceptions are caught: ours never throw, libraries
// may.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "agent/main/command_line.h"
#include "agent/main/doctor_command.h"
#include "agent/main/inspect_command.h"
#include "agent/main/messages.h"
#include "agent/main/print_config.h"
#include "agent/main/ps_command.h"
#include "agent/main/replay_command.h"
#include "agent/main/run_command.h"

namespace {

using namespace remora;

int run(const std::vector<std::string>& arguments) {
    auto parsed = parse_command_line(arguments, [](const char* name) { return std::getenv(name); });
    if (!parsed) {
        say("{}", parsed.error().text());
        return exit_usage;
    }
    if (parsed->subcommand == Subcommand::help) {
        std::fputs(parsed->help.c_str(), stdout);
        return 0;
    }
    if (parsed->subcommand == Subcommand::version) {
        std::puts("remora " REMORA_VERSION);
        return 0;
    }
    // What these look at is somebody else's configuration: nothing is to be said of it.
    if (parsed->subcommand == Subcommand::ps || parsed->subcommand == Subcommand::inspect)
        spdlog::set_level(spdlog::level::off);
    if (parsed->subcommand == Subcommand::ps) return ps_command(parsed->ps);
    if (parsed->subcommand == Subcommand::inspect) return inspect_command(parsed->inspect);
    const LoadedConfig loaded = parsed->config.build();
    set_up_log(loaded.config, parsed->run.quiet, parsed->run.verbose);
    if (!parsed->run.quiet)
        for (const std::string& warning : loaded.warnings) say("{}", warning);
    switch (parsed->subcommand) {
        case Subcommand::config:
            return parsed->reference ? print_reference() : print_config(loaded);
        case Subcommand::doctor: return doctor_command(parsed->doctor, loaded);
        case Subcommand::replay: return replay_command(parsed->replay_file, parsed->run, loaded);
        default: return run_command(parsed->run, loaded);
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + (argc > 0 ? 1 : 0), argv + argc});
    } catch (const std::exception& error) {
        say("unexpected failure: {}", error.what());
        return exit_failed;
    }
}
