// SPDX-License-Identifier: Apache-2.0
// Looks at a file that is about to be executed: would its dynamic loader take us in quietly? A
// loader of another ABI prints an error for every preload it can't load, and musl's refuses to
// start.
//
// Safe in a vfork child; one short-lived descriptor; raw system calls only, errno untouched.
#pragma once

#include <cstddef>

namespace remora::shim {

// The file `path` relative to `directory`, or `directory` itself where path is empty (execveat).
// true also when the file can't be read: execute-only files are ordinary programs.
bool target_loads_us(int directory, const char* path) noexcept;

// The same for a name that libc is going to look for in PATH (execvp, posix_spawnp).
bool named_target_loads_us(const char* file) noexcept;

}  // namespace remora::shim
