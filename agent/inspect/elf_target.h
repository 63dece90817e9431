// SPDX-License-Identifier: Apache-2.0
// Whether a preloaded library can see what a program does, by the program's file; and where the
// program is that is to be traced. Reads files, changes nothing. Not thread-safe (reads environ).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/inspect/elf_file.h"

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

// What the file itself says: its machine, its linker, its libraries; privileges aside.
struct ElfVerdict {
    TargetKind kind = TargetKind::traceable;
    std::string why;  // not traceable: "is statically linked, so ...", without a full stop
};
// path: what it is called; the dynamic linker itself is known by its name.
ElfVerdict judge_elf(const ElfFile& elf, std::string_view path);
std::string architecture_name(const ElfFile& elf);

// command: a path, or a name that is looked up in PATH as execvp does. Scripts are followed to
// their interpreters. When something can't be found out the program counts as traceable.
Target find_target(const std::string& command);

}  // namespace remora
