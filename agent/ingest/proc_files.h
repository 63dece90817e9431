// SPDX-License-Identifier: Apache-2.0
// What /proc says about processes. Everything may be gone, hidden or unreadable at any time: then
// the answer is "unknown", never an error. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace remora {

// A file below /proc, whose size is not known before: at most `limit` bytes; empty: it can't be
// read.
std::string read_proc_file(const std::string& path, size_t limit);

// All that our /proc shows, in no order.
std::vector<int> visible_processes();

struct ProcessStat {
    uint64_t start_ns = 0;           // CLOCK_BOOTTIME, rounded down to a clock tick
    char state = '?';                // Z: has ended, its parent has not asked yet
    int parent = 0;                  // its pid; 0: none in our pid namespace
    std::optional<int> wait_status;  // of one that has ended; nothing: we are not allowed to know
};

// From /proc/<pid>/stat.
std::optional<ProcessStat> read_process_stat(int pid);

// Inode number of a process's pid namespace; 0: unknown or not allowed to know.
uint64_t pid_namespace_of(int pid);
uint64_t own_pid_namespace();

// The process that is called `pid` in that pid namespace (0: in any), by its number in ours (the
// last number of NSpid in /proc/<pid>/status, Linux 4.1); 0: none is visible. Reads all of /proc.
int find_host_pid(uint32_t pid, uint64_t pid_namespace);

// Does the process map the memory file with this inode and name? Nothing: we are not allowed to
// know.
std::optional<bool> process_maps(int pid, const char* memory_file, uint64_t inode);

// Does one of the variables that its image was started with begin like this? Nothing: we are not
// allowed to know, or there are none.
std::optional<bool> process_has_variable(int pid, const char* beginning);

struct MappingProcesses {
    std::vector<int> pids;
    // Others ended while we looked, had just ended, or hide their maps: what they started last may
    // be missing.
    bool uncertain = false;
    // Others have the variable and don't map the file: they were started a moment ago, or never
    // will.
    bool starting = false;
};
// Processes, started not before start_ns, that map the memory file with this inode and name. Reads
// the maps of all of them. variable: the beginning of one that those have who are to map it.
MappingProcesses processes_that_map(const char* memory_file, uint64_t inode, uint64_t start_ns,
                                    const char* variable);

}  // namespace remora
