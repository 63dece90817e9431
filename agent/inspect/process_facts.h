// SPDX-License-Identifier: Apache-2.0
// What can be known of one process from outside: from /proc and from its program's file. Facts
// only; what follows from them is in reasons.h. Every part may be hidden or gone: it is then left
// empty, and `access` says why. Texts were chosen by the process: show them by printable(). Any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/inspect/elf_file.h"
#include "agent/inspect/mapped_files.h"
#include "agent/inspect/other_agents.h"

namespace remora {

struct ProcessFacts {
    int pid = 0;
    int parent = 0;
    uint64_t start_ns = 0;  // CLOCK_BOOTTIME
    Access access = Access::allowed;

    // Of everybody's process.
    std::string name;                    // at most 15 bytes
    std::vector<std::string> arguments;  // empty: a kernel thread, or a process that ends
    uint32_t own_pid = 0;                // in its innermost pid namespace
    uint32_t user = 0;
    uint32_t effective_user = 0;
    uint32_t group = 0;
    uint32_t effective_group = 0;
    uint64_t file_capabilities = 0;           // permitted, and not handed down by its parent
    uint32_t seccomp_mode = 0;                // 0 off, 1 strict, 2 filter
    std::optional<uint32_t> seccomp_filters;  // how many; Linux 5.9
    bool no_new_privileges = false;
    std::string cgroup;  // path, of the unified hierarchy where there is one

    // Only where access is allowed.
    uint64_t pid_namespace = 0;
    std::string executable;
    std::optional<ElfFile> elf;
    std::optional<bool> secure;  // AT_SECURE: the dynamic linker ignored LD_PRELOAD
    MappedFiles mapped;
    bool environment_known = false;
    std::vector<std::string> variables;  // NAME=value that its image was started with
    bool io_uring = false;               // it has a ring open
    std::string linked_tls;              // see linked_tls.h
    std::vector<OtherAgent> other_agents;

    // Empty: not set. A view into `variables`.
    [[nodiscard]] std::string_view variable(std::string_view variable_name) const;
    [[nodiscard]] bool kernel_thread() const { return arguments.empty() && executable.empty(); }
    // 64 hexadecimal digits of `cgroup`; empty: no container that can be told.
    [[nodiscard]] std::string container() const;
};

// Who it is and what it maps; cheap enough to be asked of every process. Nothing: there is no such
// process, or it has ended and waits for its parent.
std::optional<ProcessFacts> read_process_outline(int pid);
// The rest. Opens the program's file and reads in it.
void read_process_details(ProcessFacts& facts);

}  // namespace remora
