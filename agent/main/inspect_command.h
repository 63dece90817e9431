// SPDX-License-Identifier: Apache-2.0
// `remora inspect PID`: all that is known of one process, and what would help.
#pragma once

namespace remora {

struct InspectOptions {
    int pid = 0;
    bool json = false;
};

// The exit status: 0 it is traced; 1 not, only in part, or unknown; 2 there is no such process; 125
// standard output can't be written.
int inspect_command(const InspectOptions& options);

}  // namespace remora
