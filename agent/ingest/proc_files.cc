// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/proc_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "agent/base/unique_fd.h"

namespace remora {

namespace {

template <typename Number>
std::optional<Number> to_number(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return number;
}

std::string_view next_word(std::string_view& text) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return text = {};
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(" \t\n"));
    text.remove_prefix(word.size());
    return word;
}

template <typename Visit>
void for_each_process(Visit visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir("/proc"), ::closedir};
    if (!folder) return;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name.empty() || name[0] < '1' || name[0] > '9') continue;
        const auto pid = to_number<int>(name);
        if (pid && !visit(*pid)) return;
    }
}

// The number that the process has in its own, innermost pid namespace.
std::optional<uint32_t> innermost_pid(int pid) {
    const std::string status = read_proc_file(fmt::format("/proc/{}/status", pid), 16384);
    const size_t line = status.find("\nNSpid:");
    if (line == std::string::npos) return std::nullopt;
    std::string_view rest = std::string_view(status).substr(line + 7);
    rest = rest.substr(0, rest.find('\n'));
    const size_t last = rest.find_last_of(" \t");
    if (last == std::string_view::npos) return std::nullopt;
    return to_number<uint32_t>(rest.substr(last + 1));
}

}  // namespace

std::string read_proc_file(const std::string& path, size_t limit) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    std::string text;
    if (!fd) return text;
    char chunk[8192];
    while (text.size() < limit) {
        const ssize_t count = ::read(fd.get(), chunk, sizeof(chunk));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        text.append(chunk, static_cast<size_t>(count));
    }
    return text;
}

std::vector<int> visible_processes() {
    std::vector<int> pids;
    for_each_process([&pids](int pid) {
        pids.push_back(pid);
        return true;
    });
    return pids;
}

std::optional<ProcessStat> read_process_stat(int pid) {
    const std::string text = read_proc_file(fmt::format("/proc/{}/stat", pid), 4096);
    // The name, in parentheses, may itself hold blanks and parentheses: go by the last one.
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::string_view rest = std::string_view(text).substr(name_end + 1);
    const std::string_view state = next_word(rest);
    if (state.empty()) return std::nullopt;
    const auto parent = to_number<int>(next_word(rest));
    std::string_view start;
    for (int field = 5; field <= 22; ++field) start = next_word(rest);  // proc(5): starttime is 22
    const auto ticks = to_number<uint64_t>(start);
    if (!ticks) return std::nullopt;
    std::string_view status;
    for (int field = 23; field <= 52; ++field) status = next_word(rest);  // exit_code is 52
    const auto ticks_per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
    ProcessStat stat{*ticks * (1'000'000'000u / ticks_per_second), state[0], parent.value_or(0),
                     std::nullopt};
    // Shown as 0 to who may not know (proc(5)), which is also what success looks like.
    if (const auto number = to_number<int>(status); number && *number != 0)
        stat.wait_status = *number;
    return stat;
}

uint64_t pid_namespace_of(int pid) {
    struct stat status {};
    if (::stat(fmt::format("/proc/{}/ns/pid", pid).c_str(), &status) != 0) return 0;
    return status.st_ino;
}

uint64_t own_pid_namespace() {
    struct stat status {};
    return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

int find_host_pid(uint32_t pid, uint64_t pid_namespace) {
    int found = 0;
    for_each_process([&](int candidate) {
        if (innermost_pid(candidate) != pid) return true;
        // Several namespaces have a process of this number. Where the namespace is hidden from us
        // the number alone has to do.
        const uint64_t its_namespace = pid_namespace_of(candidate);
        if (pid_namespace != 0 && its_namespace != 0 && its_namespace != pid_namespace) return true;
        found = candidate;
        return its_namespace == 0;  // a certain answer ends the search
    });
    return found;
}

std::optional<bool> process_maps(int pid, const char* memory_file, uint64_t inode) {
    const std::string path = fmt::format("/proc/{}/maps", pid);
    const std::string maps = read_proc_file(path, 4u << 20);
    if (maps.empty()) return std::nullopt;
    const std::string wanted = fmt::format(" {} ", inode);
    for (size_t at = maps.find(memory_file); at != std::string::npos;
         at = maps.find(memory_file, at + 1)) {
        const size_t line = maps.rfind('\n', at) + 1;  // npos + 1 is 0: the first line
        if (std::string_view(maps).substr(line, at - line).find(wanted) != std::string_view::npos)
            return true;
    }
    // When the process exits while it is read, the list ends early.
    if (read_proc_file(path, 1).empty()) return std::nullopt;
    return false;
}

std::optional<bool> process_has_variable(int pid, const char* beginning) {
    const std::string variables = read_proc_file(fmt::format("/proc/{}/environ", pid), 4u << 20);
    if (variables.empty()) return std::nullopt;
    const std::string_view wanted = beginning;
    return variables.compare(0, wanted.size(), wanted) == 0 ||
           variables.find('\0' + std::string(wanted)) != std::string::npos;
}

MappingProcesses processes_that_map(const char* memory_file, uint64_t inode, uint64_t start_ns,
                                    const char* variable) {
    MappingProcesses found;
    const int self = ::getpid();
    for_each_process([&](int pid) {
        if (pid == self) return true;
        const auto stat = read_process_stat(pid);
        if (stat && stat->start_ns < start_ns) return true;
        // The list of processes was read some time ago, and who exits has no maps any more.
        const auto maps = stat ? process_maps(pid, memory_file, inode) : std::nullopt;
        if (!maps)
            found.uncertain = true;
        else if (*maps)
            found.pids.push_back(pid);
        else if (process_has_variable(pid, variable).value_or(true))  // not filled in yet
            found.starting = true;
        return true;
    });
    return found;
}

}  // namespace remora
