// SPDX-License-Identifier: Apache-2.0
// What this machine, and the place in it where we run (container, limits, privileges), allows:
// facts for `remora doctor`. What follows from them is in machine_checks.h. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/inspect/bpf_trial.h"

namespace remora {

struct MachineFacts {
    std::string kernel;   // "6.1.0-18-amd64"
    std::string machine;  // "x86_64"
    std::string c_library_version;
    bool proc_mounted = false;
    int hidepid = 0;               // of /proc: 1 others' files are hidden, 2 and 4 others' folders
    std::string global_preload;    // content of /etc/ld.so.preload
    uint64_t file_size_limit = 0;  // bytes, RLIMIT_FSIZE; UINT64_MAX: none
    uint64_t address_space_limit = 0;
    uint64_t descriptor_limit = 0;
    uint32_t seccomp_mode = 0;
    bool no_new_privileges = false;

    bool type_information = false;                 // /sys/kernel/btf/vmlinux
    std::optional<int> unprivileged_bpf_disabled;  // sysctl; nothing: can't be read
    uint64_t capabilities = 0;                     // effective
    std::string lockdown;                          // "none", "integrity", "confidentiality"
    std::string cgroup2;                           // where the unified hierarchy is mounted
    bool uprobes = false;
    bool kprobes = false;
    std::vector<BpfStep> bpf;

    // Filled in by the command, which may try things that the stages above know.
    std::string library;                // path of libremora.so
    std::string library_needs;          // "2.34": the newest version of glibc that it asks for
    std::string library_problem;        // it can't be found
    std::string shared_memory_problem;  // empty: it can be made
    std::string preload_problem;        // empty: a program was started with it and found its agent
    std::string other_users_problem;    // empty: programs of other users can join
    std::string collector;              // URL without credentials; empty: none is configured
    std::string collector_problem;
};

MachineFacts read_machine_facts();

// One line of /proc/mounts: the options of the file system of this type; nothing: none is mounted.
struct Mount {
    std::string place;
    std::string options;
};
std::optional<Mount> find_mount(const std::string& mounts, const std::string& type);
// The newest of the symbol versions GLIBC_<major>.<minor> that are named in a library: "2.34";
// empty: none.
std::string newest_glibc_version(const std::string& library);
// Is version a of glibc at least b? "2.9" is older than "2.36".
bool version_at_least(const std::string& a, const std::string& b);
int parse_hidepid(const std::string& options);
// "none [integrity] confidentiality" -> "integrity"
std::string parse_lockdown(const std::string& text);

}  // namespace remora
