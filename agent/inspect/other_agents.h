// SPDX-License-Identifier: Apache-2.0
// Other tracing agents inside a process, known by what they leave there: libraries that are mapped,
// variables and arguments that load them. Pure.
#pragma once

#include <string>
#include <vector>

namespace remora {

struct OtherAgent {
    std::string name;      // "Datadog"
    std::string evidence;  // the path, variable or argument that says so; untrusted text
};

// variables: NAME=value, as in the process's environment.
std::vector<OtherAgent> find_other_agents(const std::vector<std::string>& mapped_paths,
                                          const std::vector<std::string>& variables,
                                          const std::vector<std::string>& arguments);

}  // namespace remora
