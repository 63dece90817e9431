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
const std::string session_text = "1:7:8:9:" + std::string(32, '1');

// A process that starts with this TRACEPARENT, nullptr: with none.
bool start_with(const char* traceparent) {
    SessionAddress address;
    if (!parse_session(session_text.c_str(), address)) return false;
    init_child_environment(address, "/x/libremora.so");
    ::setenv("REMORA_SESSION", session_text.c_str(), 1);
    if (traceparent != nullptr)
        ::setenv("TRACEPARENT", traceparent, 1);
    else
        ::unsetenv("TRACEPARENT");
    char name[] = "program";
    char* arguments[] = {name, nullptr};
    init_process(1, arguments, read_environment(environ));
    return true;
}

std::string value(const char* name) {
    const char* text = ::getenv(name);
    return text == nullptr ? "(none)" : text;
}

std::string own_span() {
    char text[traceparent_size + 1] = {};
    write_traceparent(*process_span(), text);
    return text;
}

TEST(OwnEnvironment, NamesTheProcessSpan) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  REQUIRE(start_with(nullptr));
                  REQUIRE(value("TRACEPARENT") == own_span());
                  REQUIRE(value("REMORA_SESSION") == session_text + ":t");
                  ::setenv("ANOTHER", "1", 1);
                  REQUIRE(value("TRACEPARENT") == own_span());
                  note_server();
                  REQUIRE(value("TRACEPARENT").empty());
                  return "";
              }),
              "");
}

TEST(OwnEnvironment, GivesTheUsersBack) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  REQUIRE(start_with(users));
                  REQUIRE(value("TRACEPARENT") == own_span());
                  REQUIRE(value("TRACEPARENT") != users);
                  note_daemon();
                  REQUIRE(value("TRACEPARENT") == users);
                  return "";
              }),
              "");
}

TEST(OwnEnvironment, StaysAsItIsWithoutASpan) {
    for (const uint32_t off : {REMORA_SWITCH_NO_PROCESS_SPANS, REMORA_SWITCH_SDK_DISABLED})
        EXPECT_EQ(in_child([off]() -> std::string {
                      TestSession session(1);
                      session.control.switches = off;
                      REQUIRE(start_with(users));
                      REQUIRE(value("TRACEPARENT") == users);
                      REQUIRE(value("REMORA_SESSION") == session_text);
                      return "";
                  }),
                  "");
}

TEST(OwnEnvironment, IsNotMovedWhenItIsHuge) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  for (int i = 0; i < 600; ++i) ::setenv(("V" + std::to_string(i)).c_str(), "", 1);
                  REQUIRE(start_with(nullptr));
                  REQUIRE(value("TRACEPARENT") == "(none)");
                  REQUIRE(value("V599").empty());
                  return "";
              }),
              "");
}

}  // namespace
}  // namespace remora::shim
