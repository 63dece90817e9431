// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/machine_checks.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace remora {
namespace {

using testing::HasSubstr;

MachineFacts good_machine() {
    MachineFacts facts;
    facts.kernel = "6.1.0-18-amd64";
    facts.machine = "x86_64";
    facts.c_library_version = "2.36";
    facts.library_needs = "2.34";
    facts.proc_mounted = true;
    facts.file_size_limit = facts.address_space_limit = UINT64_MAX;
    facts.descriptor_limit = 1024;
    facts.type_information = true;
    facts.unprivileged_bpf_disabled = 2;
    facts.capabilities = UINT64_MAX;
    facts.cgroup2 = "/sys/fs/cgroup";
    facts.uprobes = facts.kprobes = true;
    facts.bpf = {{"array map", 0}};
    facts.library = "/usr/lib/libremora.so";
    return facts;
}

Check find(const std::vector<Check>& checks, const std::string& name) {
    for (const Check& check : checks)
        if (check.name == name) return check;
    return {"missing", Verdict::ok, "missing", ""};
}

struct Change {
    const char* check;
    Verdict verdict;
    const char* text;  // part of what is said
    void (*apply)(MachineFacts&);
    bool good = false;  // remora run works all the same
};

TEST(MachineChecks, FindNothingWrong) {
    const MachineReport report = check_machine(good_machine());
    EXPECT_TRUE(report.good());
    EXPECT_TRUE(report.collector.empty());
    for (const auto* group : {&report.run, &report.probes})
        for (const Check& check : *group)
            if (check.name != "unprivileged bpf") {
                EXPECT_EQ(check.verdict, Verdict::ok) << check.name;
            }
}

TEST(MachineChecks, NameEachThingThatIsMissing) {
    using Facts = MachineFacts;
    const Change changes[] = {
        {"kernel", Verdict::no, "3.17", [](Facts& f) { f.kernel = "3.16.0"; }},
        {"kernel", Verdict::no, "", [](Facts& f) { f.kernel = "nonsense"; }},
        {"kernel", Verdict::note, "pidfd", [](Facts& f) { f.kernel = "5.2.1"; }, true},
        {"architecture", Verdict::no, "aarch64", [](Facts& f) { f.machine = "aarch64"; }},
        {"C library", Verdict::no, "needs 2.38", [](Facts& f) { f.library_needs = "2.38"; }},
        {"/proc", Verdict::no, "not mounted", [](Facts& f) { f.proc_mounted = false; }},
        {"/proc", Verdict::note, "hidepid=2", [](Facts& f) { f.hidepid = 2; }, true},
        {"sandbox", Verdict::note, "seccomp", [](Facts& f) { f.seccomp_mode = 2; }, true},
        {"ulimit -f", Verdict::note, "1 MiB", [](Facts& f) { f.file_size_limit = 1 << 20; }, true},
        {"ulimit -v", Verdict::note, "1000 KiB",
         [](Facts& f) { f.address_space_limit = 1000 << 10; }, true},
        {"ulimit -n", Verdict::note, "20", [](Facts& f) { f.descriptor_limit = 20; }, true},
        {"shared memory", Verdict::no, "no memory",
         [](Facts& f) { f.shared_memory_problem = "no memory"; }},
        {"library", Verdict::no, "is missing",
         [](Facts& f) { f.library_problem = "libremora.so is missing"; }},
        {"preloading", Verdict::no, "did not find",
         [](Facts& f) { f.preload_problem = "did not find its agent"; }},
        {"other users", Verdict::note, "no socket",
         [](Facts& f) { f.other_users_problem = "no socket"; }, true},
        {"ld.so.preload", Verdict::note, "/x/y.so",
         [](Facts& f) { f.global_preload = "/x/y.so\n"; }, true},
    };
    for (const Change& change : changes) {
        MachineFacts facts = good_machine();
        change.apply(facts);
        const MachineReport report = check_machine(facts);
        const Check check = find(report.run, change.check);
        EXPECT_EQ(check.verdict, change.verdict) << change.check;
        EXPECT_THAT(check.text + check.help, HasSubstr(change.text)) << change.check;
        EXPECT_EQ(report.good(), change.good) << change.check;
    }
}

TEST(MachineChecks, ProbesDoNotDecideWhetherProgramsCanBeTraced) {
    MachineFacts facts = good_machine();
    facts.capabilities = 0;
    facts.type_information = false;
    facts.lockdown = "confidentiality";
    facts.cgroup2.clear();
    facts.bpf = {{"array map", EPERM}, {"ring buffer", EINVAL}};
    const MachineReport report = check_machine(facts);
    EXPECT_TRUE(report.good());
    for (const char* name :
         {"privileges", "type information", "lockdown", "cgroup v2", "array map", "ring buffer"})
        EXPECT_EQ(find(report.probes, name).verdict, Verdict::no) << name;
    EXPECT_THAT(find(report.probes, "privileges").text, HasSubstr("CAP_BPF"));
    EXPECT_EQ(find(report.probes, "array map").text, "not allowed");
    EXPECT_EQ(find(report.probes, "ring buffer").text, "this kernel has none");
}

TEST(MachineChecks, SysAdminIsEnoughForBpfAlone) {
    MachineFacts facts = good_machine();
    facts.capabilities = uint64_t{1} << 21;
    const std::string text = find(check_machine(facts).probes, "privileges").text;
    EXPECT_THAT(text, testing::Not(HasSubstr("CAP_BPF")));
    EXPECT_THAT(text, testing::Not(HasSubstr("CAP_PERFMON")));
    EXPECT_THAT(text, HasSubstr("CAP_NET_ADMIN"));
}

TEST(MachineChecks, TheCollector) {
    MachineFacts facts = good_machine();
    facts.collector = "http://localhost:4318/v1/traces";
    EXPECT_TRUE(check_machine(facts).good());
    facts.collector_problem = "refused";
    const MachineReport report = check_machine(facts);
    EXPECT_FALSE(report.good());
    EXPECT_THAT(find(report.collector, "collector").text, HasSubstr("refused"));
}

TEST(MachineFacts, AreTakenFromTheirFiles) {
    const std::string mounts =
        "sysfs /sys sysfs rw 0 0\n"
        "proc /proc proc rw,nosuid,hidepid=invisible,gid=4 0 0\n"
        "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"
        "broken\n";
    ASSERT_TRUE(find_mount(mounts, "proc"));
    EXPECT_EQ(parse_hidepid(find_mount(mounts, "proc")->options), 2);
    EXPECT_EQ(find_mount(mounts, "cgroup2")->place, "/sys/fs/cgroup");
    EXPECT_FALSE(find_mount(mounts, "bpf"));
    EXPECT_EQ(parse_hidepid("rw,hidepid=1"), 1);
    EXPECT_EQ(parse_hidepid("rw,hidepid=ptraceable"), 4);
    EXPECT_EQ(parse_hidepid("rw,hidepid=0"), 0);
    EXPECT_EQ(parse_hidepid(""), 0);
    EXPECT_EQ(newest_glibc_version(std::string("GLIBC_2.9\0xGLIBC_2.34\0GLIBC_2.2.5\0", 32)),
              "2.34");
    EXPECT_EQ(newest_glibc_version("GLIBC_PRIVATE GLIBC_"), "");
    EXPECT_EQ(newest_glibc_version(""), "");
    EXPECT_TRUE(version_at_least("2.36", "2.9"));
    EXPECT_FALSE(version_at_least("2.9", "2.36"));
    EXPECT_FALSE(version_at_least("", "2.36"));
    EXPECT_EQ(parse_lockdown("none [integrity] confidentiality\n"), "integrity");
    EXPECT_EQ(parse_lockdown("]["), "");
    EXPECT_EQ(parse_lockdown(""), "");
}

TEST(MachineFacts, OfThisMachine) {
    const MachineFacts facts = read_machine_facts();
    EXPECT_EQ(facts.machine, "x86_64");
    EXPECT_TRUE(facts.proc_mounted);
    EXPECT_FALSE(facts.kernel.empty());
    EXPECT_GE(facts.bpf.size(), 7u);
}

}  // namespace
}  // namespace remora
