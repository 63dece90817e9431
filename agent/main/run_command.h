// SPDX-License-Identifier: Apache-2.0
// `remora run`: runs a program with the shim in it and exports what it says.
#pragma once

#include <string>
#include <vector>

#include "agent/config/config_builder.h"

namespace remora {

struct RunOptions {
    std::vector<std::string> command;  // the program and its arguments
    std::string record_file;           // empty: no recording
    std::string service_name;          // for the program's environment; empty: leave it alone
    bool process_spans = true;
    bool quiet = false;    // nothing on stderr but errors
    bool verbose = false;  // all losses, and what was exported
};

// The exit status: the program's own; 127 it was not found, 126 it can't be executed, 125 we could
// not start, 2 an output can't be opened. Does not return when the program was killed by a signal
// (we end the same way) or can't be traced (we become it).
int run_command(const RunOptions& options, const LoadedConfig& loaded);

}  // namespace remora
