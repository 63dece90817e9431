// SPDX-License-Identifier: Apache-2.0
// Looks at the program that is to be traced before it runs: where it is, and whether a preloaded
// library can see what it does. Reads files, changes nothing. Not thread-safe (reads environ).
#pragma once

#include <cstdint>
#include <string>

namespace remora {

enum class TargetKind : uint8_t {
    traceable,
    statically_linked,   // no dynamic linker: LD_PRELOAD is not read
    go,                  // makes its system calls itself
    privileged,          // setuid, setgid or file capabilities: the linker ignores LD_PRELOAD
    other_architecture,  // our library does not fit
    other_libc,          // musl and others: our library needs glibc
    no_libc,             // dynamic, but without the library whose functions we stand in front of
    missing,
    not_executable,
};

struct Target {
    TargetKind kind = TargetKind::missing;
    std::string path;     // what to execute; the script itself where it is one
    std::string program;  // what will run: the interpreter of a script, else the path
    std::string why;      // not traceable: one line for a person, without a full stop
};

// command: a path, or a name that is looked up in PATH as execvp does. Scripts are followed to
// their interpreters. When something can't be found out the program counts as traceable.
Target find_target(const std::string& command);

}  // namespace remora
