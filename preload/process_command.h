// SPDX-License-Identifier: Apache-2.0
// What to call a process: the program, and for an interpreter the script. Never its arguments,
// which may be secrets.
#pragma once

#include <cstddef>

namespace remora::shim {

// Writes argv[0], and after a NUL the script's (module's, main class's, jar's) base name when the
// program is an interpreter; the rest of `out` is NUL. `executable`: its path, may be empty.
void describe_command(int argument_count, const char* const* arguments, const char* executable,
                      char* out, size_t capacity) noexcept;

}  // namespace remora::shim
