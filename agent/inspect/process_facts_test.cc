// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/process_facts.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "agent/inspect/linked_tls.h"

namespace remora {
namespace {

const std::string id(64, 'a');

std::string container_of(const std::string& cgroup) {
    ProcessFacts facts;
    facts.cgroup = cgroup;
    return facts.container();
}

TEST(ProcessFacts, FindTheContainer) {
    EXPECT_EQ(container_of("/docker/" + id), id);
    EXPECT_EQ(container_of("/system.slice/docker-" + id + ".scope"), id);
    EXPECT_EQ(container_of("/kubepods/pod1/cri-containerd-" + id + ".scope"), id);
    EXPECT_EQ(container_of("/a/" + std::string(64, 'b') + "/" + id), id);
    EXPECT_EQ(container_of("/a/" + std::string(65, 'b')), "");
    EXPECT_EQ(container_of("/user.slice"), "");
    EXPECT_EQ(container_of(""), "");
}

TEST(ProcessFacts, FindAVariable) {
    ProcessFacts facts;
    facts.variables = {"AB=1", "A=2", "EMPTY=", "nothing", "A=3"};
    EXPECT_EQ(facts.variable("A"), "2");
    EXPECT_EQ(facts.variable("AB"), "1");
    EXPECT_EQ(facts.variable("EMPTY"), "");
    EXPECT_EQ(facts.variable("nothing"), "");
    EXPECT_EQ(facts.variable("B"), "");
}

TEST(ProcessFacts, OfThisProcess) {
    auto facts = read_process_outline(::getpid());
    ASSERT_TRUE(facts);
    read_process_details(*facts);
    EXPECT_EQ(facts->parent, ::getppid());
    EXPECT_EQ(facts->access, Access::allowed);
    EXPECT_FALSE(facts->kernel_thread());
    EXPECT_THAT(facts->arguments[0], testing::HasSubstr("inspect_test"));
    EXPECT_THAT(facts->executable, testing::HasSubstr("inspect_test"));
    ASSERT_TRUE(facts->elf);
    EXPECT_TRUE(facts->elf->x86_64);
    EXPECT_EQ(facts->secure, std::optional<bool>(false));
    EXPECT_EQ(facts->user, ::getuid());
    EXPECT_NE(facts->pid_namespace, 0u);
    EXPECT_EQ(facts->linked_tls, "");
    EXPECT_FALSE(facts->io_uring);
}

TEST(ProcessFacts, OfNobody) { EXPECT_FALSE(read_process_outline(1 << 23)); }

TEST(LinkedTls, OfWhatIsNoProgram) {
    EXPECT_EQ(find_linked_tls("/no/such/file", true), "");
    EXPECT_EQ(find_linked_tls("/dev/null", true), "");
    EXPECT_EQ(find_linked_tls("/", true), "");
    EXPECT_EQ(find_linked_tls("/etc/passwd", true), "");
}

}  // namespace
}  // namespace remora
