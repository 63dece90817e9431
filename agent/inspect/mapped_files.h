// SPDX-License-Identifier: Apache-2.0
// The files that a process maps, from /proc/<pid>/maps: its libraries, and our shared memory. What
// stands there was chosen by the process: names are bytes. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

struct MappedFiles {
    std::vector<std::string> paths;       // regular files, each once, in the order of addresses
    std::vector<uint64_t> lanes;          // inodes of lanes that it maps (bpf/abi/lanes.h)
    std::vector<uint64_t> control_pages;  // the same of control pages (bpf/abi/control.h)
    [[nodiscard]] bool attached() const { return !lanes.empty() || !control_pages.empty(); }
    // The path of the first file whose name, without folders, begins so; empty: none.
    [[nodiscard]] std::string find(std::string_view name_begin) const;
};

MappedFiles parse_maps(std::string_view maps);

enum class Access : uint8_t {
    allowed,
    denied,  // another user's, or one that may not be dumped
    gone,    // no such process
};
Access read_mapped_files(int pid, MappedFiles& out);

// Without folders and without the " (deleted)" of a file that is no more.
std::string_view file_name(std::string_view path);

}  // namespace remora
