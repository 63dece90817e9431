// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/machine_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "agent/base/text.h"
#include "bpf/abi/limits.h"

namespace remora {

namespace {

constexpr uint64_t default_lanes_bytes = uint64_t{REMORA_LANES_DEFAULT} * REMORA_LANE_BYTES;
// A program under a smaller limit is not attached to; see preload/session.cc.
constexpr uint64_t least_address_space = default_lanes_bytes * 16;
constexpr uint64_t few_descriptors = 64;

Check ok(std::string name, std::string text) { return {std::move(name), Verdict::ok, text, {}}; }
Check note(std::string name, std::string text, std::string help = {}) {
    return {std::move(name), Verdict::note, std::move(text), std::move(help)};
}
Check no(std::string name, std::string text, std::string help) {
    return {std::move(name), Verdict::no, std::move(text), std::move(help)};
}
// A problem that a trial has named; where there is none, what is good about it.
Check tried(const char* name, const std::string& problem, const char* good, const char* help) {
    return problem.empty() ? ok(name, good) : no(name, problem, help);
}

bool kernel_at_least(const std::string& release, int major, int minor) {
    int found_major = 0;
    int found_minor = 0;
    if (std::sscanf(release.c_str(), "%d.%d", &found_major, &found_minor) != 2) return false;
    return found_major > major || (found_major == major && found_minor >= minor);
}

Check kernel_check(const MachineFacts& facts) {
    const std::string found = "Linux " + facts.kernel;
    if (!kernel_at_least(facts.kernel, 3, 17))
        return no("kernel", found + " has no sealed memory files", "Linux 3.17 or later is needed");
    if (!kernel_at_least(facts.kernel, 5, 3))
        return note("kernel",
                    found + ": the end of a traced process is seen a little later (no pidfd)");
    return ok("kernel", found);
}

Check architecture_check(const MachineFacts& facts) {
    if (facts.machine == "x86_64") return ok("architecture", "x86_64");
    return no("architecture", facts.machine + " is not supported", "64-bit x86 is needed");
}

Check c_library_check(const MachineFacts& facts) {
    const std::string found = "glibc " + facts.c_library_version;
    if (facts.library_needs.empty()) return ok("C library", found);
    const std::string needed = fmt::format("{}; the library needs {}", found, facts.library_needs);
    if (version_at_least(facts.c_library_version, facts.library_needs))
        return ok("C library", needed);
    return no("C library", needed, "use a build of Remora for this system");
}

Check proc_check(const MachineFacts& facts) {
    if (!facts.proc_mounted)
        return no("/proc", "is not mounted: programs can't find their agent", "mount it");
    if (facts.hidepid != 0)
        return note("/proc",
                    fmt::format("mounted with hidepid={}: remora ps shows only your own processes",
                                facts.hidepid));
    return ok("/proc", "mounted, shows all processes");
}

Check sandbox_check(const MachineFacts& facts) {
    if (facts.seccomp_mode == 0) return ok("sandbox", "no seccomp filter");
    return note("sandbox",
                "a seccomp filter is on here (a container's, a service's): what it forbids fails "
                "below");
}

std::string size_text(uint64_t bytes) {
    return bytes < (1u << 20) ? fmt::format("{} KiB", bytes >> 10)
                              : fmt::format("{} MiB", bytes >> 20);
}

void add_limits(const MachineFacts& facts, std::vector<Check>& out) {
    if (facts.file_size_limit < default_lanes_bytes)
        out.push_back(note("ulimit -f",
                           fmt::format("files of {} at most: fewer programs can be traced at once",
                                       size_text(facts.file_size_limit)),
                           "raise the limit"));
    if (facts.address_space_limit < least_address_space)
        out.push_back(note("ulimit -v",
                           fmt::format("address space of {}: programs under it are not traced",
                                       size_text(facts.address_space_limit)),
                           "raise the limit, or set REMORA_LANES lower"));
    if (facts.descriptor_limit < few_descriptors)
        out.push_back(note("ulimit -n",
                           fmt::format("{} descriptors: remora run needs a few of its own",
                                       facts.descriptor_limit),
                           "raise the limit"));
    if (facts.file_size_limit >= default_lanes_bytes &&
        facts.address_space_limit >= least_address_space &&
        facts.descriptor_limit >= few_descriptors)
        out.push_back(ok("limits", "files, address space and descriptors suffice"));
}

// --- kernel probes
// --------------------------------------------------------------------------------

struct Capability {
    int bit;  // linux/capability.h
    const char* name;
    const char* use;
};
constexpr Capability capabilities[] = {
    {39, "CAP_BPF", "load programs"},
    {38, "CAP_PERFMON", "trace with them"},
    {12, "CAP_NET_ADMIN", "see and change what sockets send"},
    {19, "CAP_SYS_PTRACE", "look at other users' processes"},
};
constexpr int sys_admin = 21;

bool has(const MachineFacts& facts, int bit) { return (facts.capabilities >> bit & 1) != 0; }

Check capability_check(const MachineFacts& facts) {
    std::string missing;
    for (const Capability& capability : capabilities) {
        const bool covered =
            has(facts, capability.bit) || (has(facts, sys_admin) && capability.bit >= 38);
        if (!covered)
            missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", capability.name,
                                   capability.use);
    }
    if (missing.empty()) return ok("privileges", "all that probes need");
    return no("privileges", "missing: " + missing, "run as root, or give these capabilities");
}

Check unprivileged_check(const MachineFacts& facts) {
    if (!facts.unprivileged_bpf_disabled)
        return note("unprivileged bpf", "the setting can't be read");
    if (*facts.unprivileged_bpf_disabled == 0)
        return ok("unprivileged bpf", "allowed, for socket filters only");
    return note("unprivileged bpf",
                fmt::format("forbidden (kernel.unprivileged_bpf_disabled={}), as it should be",
                            *facts.unprivileged_bpf_disabled));
}

Check present(const char* name, bool there, std::string text, std::string without,
              std::string help) {
    return there ? ok(name, std::move(text)) : no(name, std::move(without), std::move(help));
}

std::string error_text(int error) {
    if (error == EPERM || error == EACCES) return "not allowed";
    if (error == EINVAL || error == ENOSYS) return "this kernel has none";
    return std::strerror(error);
}

std::vector<Check> check_probes(const MachineFacts& facts) {
    std::vector<Check> out;
    out.push_back(capability_check(facts));
    out.push_back(unprivileged_check(facts));
    out.push_back(present("type information", facts.type_information, "/sys/kernel/btf/vmlinux",
                          "/sys/kernel/btf/vmlinux can't be read",
                          "a kernel with CONFIG_DEBUG_INFO_BTF is needed"));
    if (facts.lockdown == "confidentiality")
        out.push_back(no("lockdown", "confidentiality: programs may not read memory",
                         "boot with lockdown=integrity or less"));
    for (const BpfStep& step : facts.bpf)
        out.push_back(
            present(step.name.c_str(), step.error == 0, "allowed", error_text(step.error), ""));
    out.push_back(present("uprobes", facts.uprobes, "in this kernel", "not in this kernel", ""));
    out.push_back(present("kprobes", facts.kprobes, "in this kernel", "not in this kernel", ""));
    out.push_back(present("cgroup v2", !facts.cgroup2.empty(), "mounted at " + facts.cgroup2,
                          "not mounted: headers can't be added in the kernel",
                          "mount -t cgroup2 none /sys/fs/cgroup"));
    return out;
}

}  // namespace

const char* verdict_text(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok: return "ok";
        case Verdict::note: return "note";
        default: return "no";
    }
}

bool MachineReport::good() const {
    const auto failed = [](const Check& check) { return check.verdict == Verdict::no; };
    return std::none_of(run.begin(), run.end(), failed) &&
           std::none_of(collector.begin(), collector.end(), failed);
}

MachineReport check_machine(const MachineFacts& facts) {
    MachineReport report;
    std::vector<Check>& run = report.run;
    run.push_back(kernel_check(facts));
    run.push_back(architecture_check(facts));
    run.push_back(c_library_check(facts));
    run.push_back(proc_check(facts));
    run.push_back(sandbox_check(facts));
    add_limits(facts, run);
    run.push_back(
        tried("shared memory", facts.shared_memory_problem, "sealed memory files can be made", ""));
    run.push_back(present("library", facts.library_problem.empty(), facts.library,
                          facts.library_problem, ""));
    if (facts.library_problem.empty() && facts.shared_memory_problem.empty())
        run.push_back(tried("preloading", facts.preload_problem,
                            "a program was started with the library and found its agent",
                            "is the library readable, and on a file system that may be executed?"));
    if (!facts.other_users_problem.empty())
        run.push_back(note("other users", "programs that change their user are not traced: " +
                                              facts.other_users_problem));
    if (!facts.global_preload.empty())
        run.push_back(note(
            "ld.so.preload",
            "every program is preloaded with: " + std::string(trim_text(facts.global_preload.substr(
                                                      0, facts.global_preload.find('\n')))),
            "another tracing agent in it would be inside each traced program"));
    report.probes = check_probes(facts);
    if (!facts.collector.empty())
        report.collector.push_back(facts.collector_problem.empty()
                                       ? ok("collector", facts.collector + " takes spans")
                                       : no("collector",
                                            facts.collector + ": " + facts.collector_problem,
                                            "spans are dropped until it answers"));
    return report;
}

}  // namespace remora
