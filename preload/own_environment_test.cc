// SPDX-License-Identifier: Apache-2.0
#include "preload/own_environment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "preload/child_environment.h"
#include "preload/test_child.h"
#include "preload/test_session.h"

namespace remora::shim {
namespace {

const char* const users = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
const char* const programs_own = "00-1123456789abcdef0123456789abcdef-1123456789abcdef-01";

// A process that started with this TRACEPARENT, nullptr: with none; `marked`: put there by a shim.
bool start_with(const char* traceparent, bool marked = false) {
    const std::string session_text = "1:7:8:9:" + std::string(32, '1') + (marked ? ":t" : "");
    SessionAddress address;
    if (!parse_session(session_text.c_str(), address)) return false;
    init_child_environment(address, "/x/libremora.so");
    if (traceparent != nullptr)
        ::setenv("TRACEPARENT", traceparent, 1);
    else
        ::unsetenv("TRACEPARENT");
    char name[] = "program";
    char* arguments[] = {name, nullptr};
    init_process(1, arguments, read_environment(environ));
    return true;
}

std::string after_preparation() {
    prepare_own_environment();
    const char* text = ::getenv("TRACEPARENT");
    return text == nullptr ? "(none)" : text;
}

std::string own_span() {
    char text[traceparent_size + 1] = {};
    write_traceparent(*process_span(), text);
    return text;
}

TEST(OwnEnvironment, NamesTheProcessSpanAndTakesItBack) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  REQUIRE(start_with(no_traceparent, true));
                  REQUIRE(std::string(::getenv("TRACEPARENT")) == no_traceparent);
                  REQUIRE(session.lost(REMORA_LOSS_trace_header_invalid) == 0);
                  REQUIRE(after_preparation() == own_span());
                  REQUIRE((session.lane(0).head.process.states & REMORA_PROCESS_REFERENCED) != 0);
                  REQUIRE(after_preparation() == own_span());
                  note_server();
                  REQUIRE(after_preparation() == no_traceparent);
                  return "";
              }),
              "");
}

TEST(OwnEnvironment, GivesTheUsersBack) {
    for (const bool marked : {false, true})
        EXPECT_EQ(in_child([marked]() -> std::string {
                      TestSession session(1);
                      REQUIRE(start_with(users, marked));
                      REQUIRE(after_preparation() == own_span());
                      note_daemon();
                      REQUIRE(after_preparation() == (marked ? no_traceparent : users));
                      return "";
                  }),
                  "");
}

TEST(OwnEnvironment, LeavesWhatIsNotInherited) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  REQUIRE(start_with(users));
                  ::setenv("TRACEPARENT", programs_own, 1);
                  REQUIRE(after_preparation() == programs_own);
                  ::setenv("TRACEPARENT", "short", 1);
                  REQUIRE(after_preparation() == "short");
                  ::unsetenv("TRACEPARENT");
                  REQUIRE(after_preparation() == "(none)");
                  ::clearenv();
                  REQUIRE(after_preparation() == "(none)");
                  return "";
              }),
              "");
}

TEST(OwnEnvironment, FollowsTheSwitches) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  session.control.switches = REMORA_SWITCH_DISABLED;
                  REQUIRE(start_with(users));
                  REQUIRE(after_preparation() == users);
                  session.control.switches = REMORA_SWITCH_NO_PROCESS_SPANS;
                  REQUIRE(after_preparation() == users);
                  return "";
              }),
              "");
}

}  // namespace
}  // namespace remora::shim
