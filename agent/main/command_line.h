// SPDX-License-Identifier: Apache-2.0
// The command line: which subcommand, its flags, and where the flags end and the program begins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/config_builder.h"
#include "agent/main/doctor_command.h"
#include "agent/main/inspect_command.h"
#include "agent/main/ps_command.h"
#include "agent/main/run_command.h"

namespace remora {

enum class Subcommand : uint8_t { run, replay, ps, inspect, doctor, config, version, help };

struct CommandLine {
    Subcommand subcommand = Subcommand::help;
    RunOptions run;
    std::string replay_file;
    PsOptions ps;
    InspectOptions inspect;
    DoctorOptions doctor;
    ConfigBuilder config;    // with the environment and the flags
    bool reference = false;  // of Subcommand::config: what settings there are, not their values
    std::string help;        // of Subcommand::help: what to print
};

// An error is for the user: what was wrong and a hint.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                       const ConfigBuilder::Environment& environment);

}  // namespace remora
