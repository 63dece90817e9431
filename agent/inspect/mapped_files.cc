// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/mapped_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <unordered_set>

#include "agent/base/unique_fd.h"
#include "agent/ingest/proc_files.h"
#include "bpf/abi/control.h"

namespace remora {

namespace {

constexpr size_t maps_max = size_t{8} << 20;
constexpr std::string_view deleted = " (deleted)";
constexpr std::string_view lanes_path = "/memfd:" REMORA_LANES_MEMFD " (deleted)";
constexpr std::string_view control_path = "/memfd:" REMORA_CONTROL_MEMFD " (deleted)";

struct Line {
    uint64_t inode = 0;
    std::string_view path;
};

// "55d0-55d1 r--p 00000000 08:01 131 /usr/bin/cat": five words, blanks, the path.
Line take_apart(std::string_view line) {
    Line out;
    for (int word = 0; word < 5; ++word) {
        const size_t end = line.find(' ');
        if (end == std::string_view::npos) return out;
        if (word == 4) std::from_chars(line.data(), line.data() + end, out.inode);
        line.remove_prefix(end + 1);
    }
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string_view::npos) out.path = line.substr(begin);
    return out;
}

void add_once(std::vector<uint64_t>& inodes, uint64_t inode) {
    if (std::find(inodes.begin(), inodes.end(), inode) == inodes.end()) inodes.push_back(inode);
}

}  // namespace

std::string_view file_name(std::string_view path) {
    if (path.size() >= deleted.size() && path.substr(path.size() - deleted.size()) == deleted)
        path.remove_suffix(deleted.size());
    return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

std::string MappedFiles::find(std::string_view name_begin) const {
    for (const std::string& path : paths)
        if (file_name(path).substr(0, name_begin.size()) == name_begin) return path;
    return {};
}

MappedFiles parse_maps(std::string_view maps) {
    MappedFiles out;
    std::unordered_set<std::string_view> seen;
    while (!maps.empty()) {
        const size_t end = std::min(maps.find('\n'), maps.size());
        const Line line = take_apart(maps.substr(0, end));
        maps.remove_prefix(std::min(end + 1, maps.size()));
        if (line.path.empty() || line.path[0] != '/') continue;
        if (line.path == lanes_path)
            add_once(out.lanes, line.inode);
        else if (line.path == control_path)
            add_once(out.control_pages, line.inode);
        else if (seen.insert(line.path).second)
            out.paths.emplace_back(line.path);
    }
    return out;
}

Access read_mapped_files(int pid, MappedFiles& out) {
    const std::string path = fmt::format("/proc/{}/maps", pid);
    {
        // Who may look is asked when the file is opened.
        const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        if (!fd) return errno == ENOENT || errno == ESRCH ? Access::gone : Access::denied;
    }
    out = parse_maps(read_proc_file(path, maps_max));
    return Access::allowed;
}

}  // namespace remora
