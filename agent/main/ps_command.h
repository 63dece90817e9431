// SPDX-License-Identifier: Apache-2.0
// `remora ps`: which processes are traced, which are not, and why.
#pragma once

namespace remora {

struct PsOptions {
    bool all = false;   // every process that one may look at, not only those of remora run
    bool json = false;  // one JSON document for machines
};

// The exit status: 0, also when nothing is traced; 125 when standard output can't be
// written.
int ps_command(const PsOptions& options);

}  // namespace remora
