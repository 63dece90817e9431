// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/machine_facts.h"

#include <gnu/libc-version.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "agent/base/text.h"
#include "agent/ingest/proc_files.h"

namespace remora {

namespace {

constexpr size_t small = 65536;

uint64_t soft_limit(__rlimit_resource resource) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

// The text behind "<field>:" in /proc/self/status.
std::string status_field(std::string_view status, std::string_view field) {
    const std::string wanted = '\n' + std::string(field) + ':';
    const size_t at = status.find(wanted);
    if (at == std::string_view::npos) return {};
    const std::string_view line = status.substr(at + wanted.size());
    return std::string(trim_text(line.substr(0, line.find('\n'))));
}

bool exists(const char* path) { return ::access(path, F_OK) == 0; }

void read_privileges(MachineFacts& facts) {
    const std::string status = read_proc_file("/proc/self/status", small);
    facts.seccomp_mode =
        static_cast<uint32_t>(std::strtoul(status_field(status, "Seccomp").c_str(), nullptr, 10));
    facts.no_new_privileges = status_field(status, "NoNewPrivs") == "1";
    facts.capabilities = std::strtoull(status_field(status, "CapEff").c_str(), nullptr, 16);
}

void read_kernel_features(MachineFacts& facts) {
    facts.type_information = ::access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    const std::string disabled =
        read_proc_file("/proc/sys/kernel/unprivileged_bpf_disabled", small);
    if (!disabled.empty()) facts.unprivileged_bpf_disabled = std::atoi(disabled.c_str());
    facts.lockdown = parse_lockdown(read_proc_file("/sys/kernel/security/lockdown", small));
    facts.uprobes = exists("/sys/bus/event_source/devices/uprobe/type");
    facts.kprobes = exists("/sys/bus/event_source/devices/kprobe/type");
    facts.bpf = try_bpf();
}

}  // namespace

std::optional<Mount> find_mount(const std::string& mounts, const std::string& type) {
    for (const std::string_view line : split_list(mounts, '\n')) {
        const auto words = split_list(line, ' ');
        if (words.size() >= 4 && words[2] == type)
            return Mount{std::string(words[1]), std::string(words[3])};
    }
    return std::nullopt;
}

namespace {
std::pair<unsigned long, unsigned long> version_numbers(const std::string& text) {
    char* end = nullptr;
    const unsigned long major = std::strtoul(text.c_str(), &end, 10);
    return {major, *end == '.' ? std::strtoul(end + 1, nullptr, 10) : 0};
}
}  // namespace

bool version_at_least(const std::string& a, const std::string& b) {
    return version_numbers(a) >= version_numbers(b);
}

std::string newest_glibc_version(const std::string& library) {
    constexpr std::string_view prefix = "GLIBC_";
    std::string newest;
    for (size_t at = library.find(prefix); at != std::string::npos;
         at = library.find(prefix, at + 1)) {
        const size_t begin = at + prefix.size();
        const size_t end = std::min(library.find_first_not_of("0123456789.", begin), begin + 16);
        const std::string version = library.substr(begin, end - begin);
        if (!version.empty() && (newest.empty() || version_at_least(version, newest)))
            newest = version;
    }
    return newest;
}

int parse_hidepid(const std::string& options) {
    for (const std::string_view option : split_list(options, ',')) {
        if (option.substr(0, 8) != "hidepid=") continue;
        const std::string_view value = option.substr(8);  // words since Linux 5.8
        if (value == "1" || value == "noaccess") return 1;
        if (value == "2" || value == "invisible") return 2;
        if (value == "4" || value == "ptraceable") return 4;
    }
    return 0;
}

std::string parse_lockdown(const std::string& text) {
    const size_t begin = text.find('[');
    const size_t end = text.find(']', begin);
    if (begin == std::string::npos || end == std::string::npos) return {};
    return text.substr(begin + 1, end - begin - 1);
}

MachineFacts read_machine_facts() {
    MachineFacts facts;
    utsname names{};
    if (::uname(&names) == 0) {
        facts.kernel = names.release;
        facts.machine = names.machine;
    }
    facts.c_library_version = ::gnu_get_libc_version();
    facts.proc_mounted = exists("/proc/self/maps");
    const std::string mounts = read_proc_file("/proc/mounts", size_t{4} << 20);
    if (const auto proc = find_mount(mounts, "proc")) facts.hidepid = parse_hidepid(proc->options);
    if (const auto cgroup = find_mount(mounts, "cgroup2")) facts.cgroup2 = cgroup->place;
    facts.global_preload = read_proc_file("/etc/ld.so.preload", small);
    facts.file_size_limit = soft_limit(RLIMIT_FSIZE);
    facts.address_space_limit = soft_limit(RLIMIT_AS);
    facts.descriptor_limit = soft_limit(RLIMIT_NOFILE);
    read_privileges(facts);
    read_kernel_features(facts);
    return facts;
}

}  // namespace remora
