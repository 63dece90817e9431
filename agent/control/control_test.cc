// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/sealed_memory.h"
#include "agent/control/child_environment.h"
#include "agent/control/control_page.h"
#include "agent/control/session.h"
#include "agent/control/session_server.h"

namespace remora {
namespace {

SessionId an_id() {
    auto id = SessionId::random();
    EXPECT_TRUE(id);
    return *id;
}

const remora_control* map_as_shim(int fd) {
    void* memory = ::mmap(nullptr, REMORA_CONTROL_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<const remora_control*>(memory);
}

TEST(Session, HasTheTextThatTheShimReads) {
    SessionId id;
    for (int i = 0; i < 16; ++i) id.bytes[i] = static_cast<uint8_t>(0xf0 + i);
    EXPECT_EQ("1:12:3:4:f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", session_text(12, 3, 4, id));
    EXPECT_EQ("remora-f0f1f2f3f4f5f6f7", id.socket_name());
    EXPECT_NE(an_id().hex(), an_id().hex());
}

TEST(ControlPage, TellsProgramsWhatTheConfigurationSays) {
    const SessionId id = an_id();
    auto created = ControlPage::create(id, 77);
    ASSERT_TRUE(created) << created.error().text();
    const remora_control* page = map_as_shim(created->fd());
    ASSERT_NE(nullptr, page);
    EXPECT_EQ(REMORA_CONTROL_MAGIC, page->magic);
    EXPECT_EQ(REMORA_ABI_VERSION, page->abi_version);
    EXPECT_EQ(77u, page->lanes);
    EXPECT_EQ(0, memcmp(page->session, id.bytes, 16));
    struct stat status {};
    ASSERT_EQ(0, ::stat("/proc/self/ns/pid", &status));
    EXPECT_EQ(status.st_ino, page->pid_namespace);
    EXPECT_EQ(0u, page->switches);

    Config config;
    config.sampler = {REMORA_SAMPLER_PARENT_RATIO, 1234};
    config.sampler_forced = true;
    config.sdk_disabled = true;
    config.disabled = true;
    created->publish(config, false);
    EXPECT_EQ(uint32_t{REMORA_SAMPLER_PARENT_RATIO}, page->sampler);
    EXPECT_EQ(1234u, page->threshold);
    EXPECT_EQ(uint32_t{REMORA_SWITCH_DISABLED | REMORA_SWITCH_SDK_DISABLED |
                       REMORA_SWITCH_SAMPLER_FORCED | REMORA_SWITCH_NO_PROCESS_SPANS},
              page->switches);
    created->publish(Config{}, true);
    EXPECT_EQ(0u, page->switches);
    Config silent;
    silent.propagate = false;
    silent.trace_telemetry = true;
    remora_named_field field{};
    field.size = 8;
    field.where = REMORA_NAMED_SERVER_REQUEST;
    memcpy(field.name, "x-tenant", 8);
    silent.named_fields.assign(REMORA_NAMED_FIELDS_MAX + 1, field);
    created->publish(silent, true);
    EXPECT_EQ(uint32_t{REMORA_SWITCH_NO_PROPAGATION | REMORA_SWITCH_NO_INGRESS_INSERT |
                       REMORA_SWITCH_NO_INJECT | REMORA_SWITCH_TRACE_TELEMETRY},
              page->switches);
    EXPECT_EQ(REMORA_NAMED_FIELDS_MAX, page->named_fields);
    EXPECT_EQ(0, memcmp(&field, &page->named[REMORA_NAMED_FIELDS_MAX - 1], sizeof(field)));
}

TEST(ControlPage, BeatsUntilItRetires) {
    auto created = ControlPage::create(an_id(), 1);
    ASSERT_TRUE(created);
    const remora_control* page = map_as_shim(created->fd());
    const uint64_t before = monotonic_ns();
    created->beat();
    EXPECT_GE(page->heartbeat_ns, before);
    EXPECT_LE(page->heartbeat_ns, monotonic_ns());
    created->retire();
    EXPECT_EQ(0u, page->heartbeat_ns);
}

TEST(ControlPage, CanBeWrittenByNobodyElse) {
    auto created = ControlPage::create(an_id(), 1);
    ASSERT_TRUE(created);
    EXPECT_EQ(MAP_FAILED, ::mmap(nullptr, REMORA_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                                 created->fd(), 0));
    EXPECT_LT(::write(created->fd(), "x", 1), 0);
    // Opened anew, as a program would through /proc:
    const std::string path = "/proc/self/fd/" + std::to_string(created->fd());
    const UniqueFd again{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    if (again) {
        EXPECT_EQ(MAP_FAILED, ::mmap(nullptr, REMORA_CONTROL_BYTES, PROT_READ | PROT_WRITE,
                                     MAP_SHARED, again.get(), 0));
        EXPECT_LT(::write(again.get(), "x", 1), 0);
    }
    EXPECT_NE(0, ::ftruncate(again ? again.get() : created->fd(), 0));
    EXPECT_TRUE(::fcntl(created->fd(), F_GET_SEALS) & F_SEAL_SHRINK);
}

// --- the socket ----------------------------------------------------------------------------------

class SessionServerTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto lanes = create_sealable_memory("test-lanes");
        auto control = create_sealable_memory("test-control");
        ASSERT_TRUE(lanes && control);
        lanes_ = std::move(*lanes);
        control_ = std::move(*control);
        auto created = SessionServer::create(id, lanes_.get(), control_.get());
        ASSERT_TRUE(created) << created.error().text();
        server = std::move(*created);
    }
    UniqueFd connect() {
        UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string name = id.socket_name();
        memcpy(address.sun_path + 1, name.data(), name.size());
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        EXPECT_EQ(0, ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size));
        return fd;
    }
    // The inodes of what was handed over; empty: the connection was closed.
    std::vector<ino_t> receive(int fd) {
        char byte;
        iovec part{&byte, 1};
        alignas(cmsghdr) char space[CMSG_SPACE(4 * sizeof(int))];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = space;
        message.msg_controllen = sizeof(space);
        std::vector<ino_t> inodes;
        if (::recvmsg(fd, &message, MSG_CMSG_CLOEXEC) <= 0) return inodes;
        const cmsghdr* header = CMSG_FIRSTHDR(&message);
        if (header == nullptr) return inodes;
        const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int received;
            memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            inodes.push_back(inode(received));
            ::close(received);
        }
        return inodes;
    }
    static ino_t inode(int fd) {
        struct stat status {};
        EXPECT_EQ(0, ::fstat(fd, &status));
        return status.st_ino;
    }
    static void say(const UniqueFd& fd, const std::string& text) {
        EXPECT_EQ(static_cast<ssize_t>(text.size()),
                  ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL));
    }

    SessionId id = an_id();
    UniqueFd lanes_;
    UniqueFd control_;
    std::unique_ptr<SessionServer> server;
};

TEST_F(SessionServerTest, HandsBothDescriptorsToWhoKnowsTheSession) {
    const UniqueFd early = connect();  // before the thread runs
    say(early, id.hex());
    server->start();
    const std::vector<ino_t> both{inode(lanes_.get()), inode(control_.get())};
    EXPECT_EQ(both, receive(early.get()));
    const UniqueFd slow = connect();
    for (const char digit : id.hex()) say(slow, std::string(1, digit));
    EXPECT_EQ(both, receive(slow.get()));
}

TEST_F(SessionServerTest, GivesNothingToAnybodyElse) {
    server->start();
    std::string wrong = id.hex();
    wrong[31] = wrong[31] == '0' ? '1' : '0';
    const UniqueFd guess = connect();
    say(guess, wrong);
    EXPECT_TRUE(receive(guess.get()).empty());
    const UniqueFd longer = connect();
    say(longer, id.hex() + "0");
    EXPECT_TRUE(receive(longer.get()).empty());
}

TEST_F(SessionServerTest, ASilentClientHoldsUpNobody) {
    server->start();
    std::vector<UniqueFd> silent;
    for (int i = 0; i < 100; ++i) silent.push_back(connect());
    const UniqueFd good = connect();  // its turn comes when the silent ones have had their second
    say(good, id.hex());
    EXPECT_EQ(2u, receive(good.get()).size());
    char byte;
    EXPECT_EQ(0, ::recv(silent[0].get(), &byte, 1, 0));  // closed
    server->stop();
    server->stop();
}

// --- the environment -----------------------------------------------------------------------------

std::vector<std::string> texts(ChildEnvironment& environment) {
    std::vector<std::string> result;
    for (const char* variable : environment.pointers())
        if (variable != nullptr) result.emplace_back(variable);
    return result;
}

TEST(ChildEnvironment, KeepsWhatIsThereAndAddsOurs) {
    const char* const before[] = {"A=1", "REMORA_SESSION=old", "B", "A=2", nullptr};
    ChildEnvironment environment{before};
    environment.set("REMORA_SESSION", "new");
    environment.set("NEW", "x");
    environment.preload("/lib/libremora.so");
    EXPECT_EQ((std::vector<std::string>{"A=1", "REMORA_SESSION=new", "B", "A=2", "NEW=x",
                                        "LD_PRELOAD=/lib/libremora.so"}),
              texts(environment));
    EXPECT_EQ(nullptr, environment.pointers().back());
}

TEST(ChildEnvironment, JoinsASession) {
    const char* const without[] = {"A=1", nullptr};
    ChildEnvironment environment{without};
    environment.join_session("1:2:3:4:ab");
    EXPECT_EQ((std::vector<std::string>{
                  "A=1", "REMORA_SESSION=1:2:3:4:ab:t",
                  "TRACEPARENT=00-00000000000000000000000000000000-0000000000000000-00"}),
              texts(environment));
    const char* const with[] = {"TRACEPARENT=the user's", "REMORA_SESSION=old", nullptr};
    ChildEnvironment users{with};
    users.join_session("1:2:3:4:ab");
    EXPECT_EQ((std::vector<std::string>{"TRACEPARENT=the user's", "REMORA_SESSION=1:2:3:4:ab"}),
              texts(users));
}

TEST(ChildEnvironment, AppendsToTheUsersPreloadOnce) {
    const auto preload = [](const char* list) {
        const char* const before[] = {list, nullptr};
        ChildEnvironment environment{before};
        environment.preload("/lib/libremora.so");
        return texts(environment)[0];
    };
    EXPECT_EQ("LD_PRELOAD=/jemalloc.so:/lib/libremora.so", preload("LD_PRELOAD=/jemalloc.so"));
    EXPECT_EQ("LD_PRELOAD=/a.so /b.so:/lib/libremora.so", preload("LD_PRELOAD=/a.so /b.so"));
    EXPECT_EQ("LD_PRELOAD=/lib/libremora.so", preload("LD_PRELOAD="));
    EXPECT_EQ("LD_PRELOAD=/lib/libremora.so:/a.so", preload("LD_PRELOAD=/lib/libremora.so:/a.so"));
    EXPECT_EQ("LD_PRELOAD=/a.so /lib/libremora.so", preload("LD_PRELOAD=/a.so /lib/libremora.so"));
    EXPECT_EQ("LD_PRELOAD=/lib/libremora.so.1:/lib/libremora.so",
              preload("LD_PRELOAD=/lib/libremora.so.1"));
}

TEST(FindLibrary, TakesTheOneThatIsNamed) {
    const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) /
                                         ("remora-library-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder / "with blank");
    std::ofstream(folder / "libremora.so") << "x";
    std::ofstream(folder / "with blank" / "libremora.so") << "x";
    ::setenv("REMORA_LIBRARY", (folder / "libremora.so").c_str(), 1);
    auto found = find_library();
    ASSERT_TRUE(found) << found.error().text();
    EXPECT_EQ(std::filesystem::canonical(folder / "libremora.so").string(), *found);
    ::setenv("REMORA_LIBRARY", (folder / "with blank" / "libremora.so").c_str(), 1);
    EXPECT_FALSE(find_library());  // LD_PRELOAD would read two names
    ::setenv("REMORA_LIBRARY", (folder / "missing.so").c_str(), 1);
    EXPECT_FALSE(find_library());
    ::unsetenv("REMORA_LIBRARY");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace remora
