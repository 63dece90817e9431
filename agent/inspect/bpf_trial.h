// SPDX-License-Identifier: Apache-2.0
// What bpf(2) lets this process do: programs of two instructions are loaded, one is attached for a
// moment to a tracepoint, everything is closed again. Any thread. Harmless where it is forbidden:
// the kernel answers with an error.
#pragma once

#include <string>
#include <vector>

namespace remora {

struct BpfStep {
    std::string name;  // "array map", "raw tracepoints", "attach to sys_exit"
    int error = 0;     // errno; 0: allowed
};

std::vector<BpfStep> try_bpf();

}  // namespace remora
