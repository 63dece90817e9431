// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/process_facts.h"

#include <dirent.h>
#include <elf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstring>
#include <memory>
#include <string_view>

#include "agent/base/text.h"
#include "agent/ingest/proc_files.h"
#include "agent/inspect/linked_tls.h"

namespace remora {

namespace {

constexpr size_t text_max = size_t{1} << 20;  // of arguments and environment
constexpr int descriptors_max = 65536;        // looked at in one process
constexpr size_t container_digits = 64;

std::string proc(int pid, std::string_view file) { return fmt::format("/proc/{}/{}", pid, file); }

std::vector<std::string> split_at_nul(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\0'), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

// The numbers behind "<field>:" in a status file.
template <typename Number = uint32_t>
std::vector<Number> numbers_of(std::string_view status, std::string_view field, int base = 10) {
    const std::string wanted = fmt::format("\n{}:", field);
    const size_t at = status.find(wanted);
    std::vector<Number> numbers;
    if (at == std::string_view::npos) return numbers;
    std::string_view line = status.substr(at + wanted.size());
    line = line.substr(0, line.find('\n'));
    for (const std::string_view word : split_list(line, '\t')) {
        Number number = 0;
        std::from_chars(word.data(), word.data() + word.size(), number, base);
        numbers.push_back(number);
    }
    return numbers;
}

uint32_t number_at(const std::vector<uint32_t>& numbers, size_t place) {
    return place < numbers.size() ? numbers[place] : 0;
}

void read_status(ProcessFacts& facts) {
    // The name stands first and may hold anything but a line break, which is escaped.
    const std::string status = read_proc_file(proc(facts.pid, "status"), 65536);
    const auto users = numbers_of(status, "Uid");
    const auto groups = numbers_of(status, "Gid");
    const auto pids = numbers_of(status, "NSpid");
    const auto filters = numbers_of(status, "Seccomp_filters");
    facts.user = number_at(users, 0);
    facts.effective_user = number_at(users, 1);
    facts.group = number_at(groups, 0);
    facts.effective_group = number_at(groups, 1);
    const auto permitted = numbers_of<uint64_t>(status, "CapPrm", 16);
    const auto ambient = numbers_of<uint64_t>(status, "CapAmb", 16);  // Linux 4.3
    if (facts.user != 0 && !permitted.empty() && !ambient.empty())
        facts.file_capabilities = permitted[0] & ~ambient[0];
    facts.own_pid = pids.empty() ? static_cast<uint32_t>(facts.pid) : pids.back();
    facts.seccomp_mode = number_at(numbers_of(status, "Seccomp"), 0);
    if (!filters.empty()) facts.seccomp_filters = filters[0];
    facts.no_new_privileges = number_at(numbers_of(status, "NoNewPrivs"), 0) == 1;
    facts.name = read_proc_file(proc(facts.pid, "comm"), 64);
    if (!facts.name.empty() && facts.name.back() == '\n') facts.name.pop_back();
}

std::string read_link(const std::string& path) {
    char target[PATH_MAX];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
    return size > 0 ? std::string(target, static_cast<size_t>(size)) : std::string{};
}

// "0::/system.slice/x.service", or of the old hierarchies the longest path.
std::string read_cgroup(int pid) {
    const std::string text = read_proc_file(proc(pid, "cgroup"), 65536);
    std::string best;
    for (const std::string_view line : split_list(text, '\n')) {
        const size_t colon = line.find(':', line.find(':') + 1);
        if (colon == std::string_view::npos) continue;
        const std::string_view path = line.substr(colon + 1);
        if (path.size() > best.size()) best = path;
    }
    return best;
}

std::optional<bool> read_secure(int pid) {
    const std::string vector = read_proc_file(proc(pid, "auxv"), 65536);
    for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= vector.size(); at += sizeof(Elf64_auxv_t)) {
        Elf64_auxv_t entry;
        memcpy(&entry, vector.data() + at, sizeof(entry));
        if (entry.a_type == AT_SECURE) return entry.a_un.a_val != 0;
    }
    return std::nullopt;
}

bool has_io_uring(int pid) {
    const std::string path = proc(pid, "fd");
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(path.c_str()), ::closedir};
    for (int looked = 0; folder && looked < descriptors_max; ++looked) {
        const dirent* entry = ::readdir(folder.get());
        if (entry == nullptr) break;
        if (read_link(path + '/' + entry->d_name) == "anon_inode:[io_uring]") return true;
    }
    return false;
}

}  // namespace

std::string_view ProcessFacts::variable(std::string_view variable_name) const {
    for (const std::string_view entry : variables)
        if (entry.size() > variable_name.size() && entry[variable_name.size()] == '=' &&
            entry.substr(0, variable_name.size()) == variable_name)
            return entry.substr(variable_name.size() + 1);
    return {};
}

std::string ProcessFacts::container() const {
    size_t run = 0;
    for (size_t i = cgroup.size(); i-- > 0;) {  // the innermost stands last
        const char c = cgroup[i];
        const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        run = digit ? run + 1 : 0;
        const bool alone = i == 0 || cgroup[i - 1] == '/' || cgroup[i - 1] == '-';
        if (run == container_digits && alone) return cgroup.substr(i, run);
    }
    return {};
}

std::optional<ProcessFacts> read_process_outline(int pid) {
    const auto stat = read_process_stat(pid);
    if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
    ProcessFacts facts;
    facts.pid = pid;
    facts.parent = stat->parent;
    facts.start_ns = stat->start_ns;
    facts.access = read_mapped_files(pid, facts.mapped);
    if (facts.access == Access::gone) return std::nullopt;
    facts.arguments = split_at_nul(read_proc_file(proc(pid, "cmdline"), text_max));
    facts.executable = read_link(proc(pid, "exe"));
    if (facts.access == Access::allowed) {
        const std::string variables = read_proc_file(proc(pid, "environ"), text_max);
        facts.environment_known = true;
        facts.variables = split_at_nul(variables);
    }
    return facts;
}

void read_process_details(ProcessFacts& facts) {
    read_status(facts);
    facts.cgroup = read_cgroup(facts.pid);
    if (facts.access != Access::allowed) return;
    facts.pid_namespace = pid_namespace_of(facts.pid);
    facts.secure = read_secure(facts.pid);
    facts.io_uring = has_io_uring(facts.pid);
    // The link leads to the file even where it was deleted or lies in another mount namespace.
    const std::string program = proc(facts.pid, "exe");
    facts.elf = read_elf_file(program);
    const bool own_library = !facts.mapped.find("libssl").empty();
    facts.linked_tls = find_linked_tls(program, !own_library);
    facts.other_agents = find_other_agents(facts.mapped.paths, facts.variables, facts.arguments);
}

}  // namespace remora
