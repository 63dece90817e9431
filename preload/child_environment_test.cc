// SPDX-License-Identifier: Apache-2.0
#include "preload/child_environment.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "preload/test_session.h"

namespace remora::shim {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using testing::StartsWith;

const char* const us = "/opt/remora/lib/libremora.so";
const std::string none =
    "TRACEPARENT=00-" + std::string(32, '0') + "-" + std::string(16, '0') + "-00";
const std::string session_text = "REMORA_SESSION=1:7:8:9:11110000000000002222000000000000";

class ChildEnvironmentTest : public testing::Test {
protected:
    void SetUp() override {
        SessionAddress address;
        ASSERT_TRUE(parse_session(session_text.c_str() + 15, address));
        init_child_environment(address, us);
    }

    // The entries of the child, or {"(own)"}.
    std::vector<std::string> child(std::vector<std::string> caller, bool loads_us = true) {
        std::vector<char*> entries;
        for (std::string& entry : caller) entries.push_back(entry.data());
        entries.push_back(nullptr);
        std::vector<char*> out(caller.size() + ChildEnvironment::entries_added + 1,
                               reinterpret_cast<char*>(1));
        ChildEnvironment environment;
        if (!environment.build(entries.data(), caller.size(), loads_us, out.data()))
            return {"(own)"};
        std::vector<std::string> result;
        for (size_t i = 0; out[i] != nullptr; ++i) {
            if (i >= out.size()) return {"(overflow)"};
            result.emplace_back(out[i]);
        }
        return result;
    }
    std::string preload_for(const std::string& value, bool loads_us) {
        for (const std::string& entry : child({"LD_PRELOAD=" + value}, loads_us))
            if (entry.starts_with("LD_PRELOAD=")) return entry.substr(11);
        return "(none)";
    }

    TestSession session_{1};
};

TEST_F(ChildEnvironmentTest, AddsUsToNothing) {
    EXPECT_THAT(child({}), ElementsAre(std::string("LD_PRELOAD=") + us, session_text + ":t", none));
    ChildEnvironment environment;
    char* out[5];
    ASSERT_TRUE(environment.build(nullptr, 0, true, out));
    EXPECT_EQ(out[3], nullptr);
}

TEST_F(ChildEnvironmentTest, KeepsTheOrderOfTheRest) {
    EXPECT_THAT(child({"B=1", session_text, "A=2", "B=3", "", "odd"}),
                ElementsAre("B=1", "A=2", "B=3", "", "odd", std::string("LD_PRELOAD=") + us,
                            session_text + ":t", none));
}

TEST_F(ChildEnvironmentTest, StandsBehindOtherPreloads) {
    const std::string own = us;
    EXPECT_EQ(preload_for("", true), own);
    EXPECT_EQ(preload_for("/a.so", true), "/a.so:" + own);
    EXPECT_EQ(preload_for("/a.so:", true), "/a.so:" + own);
    EXPECT_EQ(preload_for("/a.so /b.so", true), "/a.so /b.so:" + own);
    EXPECT_EQ(preload_for(own, true), own);
    EXPECT_EQ(preload_for(own + ":/a.so", true), own + ":/a.so");
    EXPECT_EQ(preload_for("/a.so " + own, true), "/a.so " + own);
    EXPECT_EQ(preload_for(own + ".1", true), own + ".1:" + own);
    EXPECT_EQ(preload_for("/x" + own, true), "/x" + own + ":" + own);
    EXPECT_EQ(preload_for(std::string(5000, 'p'), true), std::string(5000, 'p')) << "no room";
}

TEST_F(ChildEnvironmentTest, FreesPreloadsFromUs) {
    const std::string own = us;
    EXPECT_EQ(preload_for(own, false), "(none)");
    EXPECT_EQ(preload_for("", false), "");
    EXPECT_EQ(preload_for("/a.so", false), "/a.so");
    EXPECT_EQ(preload_for("/a.so:" + own, false), "/a.so");
    EXPECT_EQ(preload_for(own + ":/a.so", false), "/a.so");
    EXPECT_EQ(preload_for("/a.so:" + own + ":/b.so", false), "/a.so:/b.so");
    EXPECT_EQ(preload_for("/a.so " + own + " /b.so", false), "/a.so /b.so");
    EXPECT_THAT(child({}, false), ElementsAre(session_text + ":t", none));
}

TEST_F(ChildEnvironmentTest, TheLastPreloadCounts) {
    EXPECT_THAT(child({"LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so"}),
                ElementsAre("LD_PRELOAD=/a.so", std::string("LD_PRELOAD=/b.so:") + us,
                            session_text + ":t", none));
}

TEST_F(ChildEnvironmentTest, LeavesOthersAlone) {
    EXPECT_THAT(child({"REMORA_DISABLE=1"}), ElementsAre("(own)"));
    EXPECT_THAT(child({"REMORA_SESSION=1:7:8:9:" + std::string(32, 'a')}), ElementsAre("(own)"));
    EXPECT_THAT(child({"REMORA_SESSION=what"}), ElementsAre("(own)"));
}

TEST_F(ChildEnvironmentTest, WithoutAContextTheUsersTraceparentStands) {
    const std::string users =
        "TRACEPARENT=00-" + std::string(32, '1') + "-" + std::string(16, '2') + "-01";
    EXPECT_THAT(child({users, "TRACESTATE=a=1"}), Contains(users));
    EXPECT_THAT(child({users, "TRACESTATE=a=1"}), Contains("TRACESTATE=a=1"));
    EXPECT_THAT(child({users}), Contains(session_text)) << "not marked as ours";
    session_.control.switches = REMORA_SWITCH_DISABLED;
    EXPECT_THAT(child({}), Not(Contains(StartsWith("TRACEPARENT="))));
}

TEST(CountEntries, Counts) {
    char* empty[] = {nullptr};
    EXPECT_EQ(count_entries(nullptr), 0u);
    EXPECT_EQ(count_entries(empty), 0u);
}

}  // namespace
}  // namespace remora::shim
