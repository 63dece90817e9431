// SPDX-License-Identifier: Apache-2.0
// What `remora doctor` says: facts of the machine -> one line for each capability. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/inspect/machine_facts.h"

namespace remora {

enum class Verdict : uint8_t {
    ok,
    note,  // works, with a limit that one should know of
    no,
};
const char* verdict_text(Verdict verdict);

struct Check {
    std::string name;  // "shared memory"
    Verdict verdict = Verdict::ok;
    std::string text;  // what was found and what that means
    std::string help;  // what to do; empty: nothing
};

struct MachineReport {
    std::vector<Check> run;        // what remora run needs
    std::vector<Check> probes;     // what probes in the kernel would need
    std::vector<Check> collector;  // empty: none is configured
    // Everything that remora run needs is there, and the collector, where one is named, answers.
    [[nodiscard]] bool good() const;
};

MachineReport check_machine(const MachineFacts& facts);

}  // namespace remora
