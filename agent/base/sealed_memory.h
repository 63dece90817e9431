// SPDX-License-Identifier: Apache-2.0
// Anonymous memory files (memfd, Linux 3.17) that other processes map: sealed, so that nobody can
// shrink them under a reader.
#pragma once

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace remora {

// Close-on-exec, sealable, not executable where the kernel knows that (6.3), mode 0666.
Result<UniqueFd> create_sealable_memory(const char* name);

// seals: F_SEAL_*.
Status seal_memory(int fd, int seals);

}  // namespace remora
