// SPDX-License-Identifier: Apache-2.0
// `remora replay FILE`: puts a recording through the pipeline.
#pragma once

#include <string>

#include "agent/config/config_builder.h"
#include "agent/main/run_command.h"

namespace remora {

// The exit status: 0, or 1 when the file can't be read, is no recording or is damaged (what could
// be read of it is exported all the same), 2 an output can't be opened.
int replay_command(const std::string& file, const RunOptions& options, const LoadedConfig& loaded);

}  // namespace remora
