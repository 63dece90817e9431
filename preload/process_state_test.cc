// SPDX-License-Identifier: Apache-2.0
#include "preload/process_state.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>

#include "preload/test_child.h"
#include "preload/test_session.h"

namespace remora::shim {
namespace {

const char* const parent_text = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

void start(const Environment& environment) {
    char name[] = "program";
    char* arguments[] = {name, nullptr};
    init_process(1, arguments, environment);
}

TEST(ProcessState, ARootSpan) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(2);
                  Environment environment;
                  environment.service_name = "billing";
                  environment.resource_attributes = "a=b";
                  start(environment);
                  const SpanContext* span = process_parent();
                  REQUIRE(span != nullptr && span->valid());
                  REQUIRE(span->flags == (flag_sampled | flag_random));
                  const remora_process& record = session.lane(0).head.process;
                  REQUIRE(session.claimed() == 1);
                  REQUIRE(record.pid == static_cast<uint32_t>(::getpid()));
                  REQUIRE(record.parent_pid == static_cast<uint32_t>(::getppid()));
                  REQUIRE(record.image != 0 && record.image == process_image());
                  REQUIRE(memcmp(record.trace_id, span->trace_id.bytes, 16) == 0);
                  REQUIRE(memcmp(record.span_id, span->span_id.bytes, 8) == 0);
                  REQUIRE(memcmp(record.parent_id, "\0\0\0\0\0\0\0", 8) == 0);
                  REQUIRE(std::string(record.command) == "program");
                  REQUIRE(std::string(record.service_name) == "billing");
                  REQUIRE(std::string(record.attributes) == "a=b");
                  REQUIRE(std::string(record.executable).find("preload_test") != std::string::npos);
                  REQUIRE(record.pid_namespace != 0 && record.start_ns != 0);
                  return "";
              }),
              "");
}

TEST(ProcessState, AnIncomingContext) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(2);
                  Environment environment;
                  environment.traceparent = parent_text;
                  environment.tracestate = "a=1";
                  start(environment);
                  const SpanContext* span = process_parent();
                  REQUIRE(span->trace_id.bytes[0] == 0x01 && span->trace_id.bytes[15] == 0xef);
                  REQUIRE(span->flags == flag_sampled);  // not random: the sender did not say so
                  REQUIRE(session.lane(0).head.process.parent_id[7] == 0xef);
                  REQUIRE(process_tracestate() == ByteView("a=1"));
                  ChildContext child;
                  REQUIRE(context_for_child(child) && child.is_process_span);
                  REQUIRE(child.snapshot.context.span_id == span->span_id);
                  REQUIRE(child.snapshot.tracestate_size == 3);
                  return "";
              }),
              "");
}

TEST(ProcessState, NoSpanWithoutItsRecord) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  session.lane(0).head.owner = REMORA_LANE_OWNER(1, REMORA_LANE_CLAIMED);
                  start({});
                  REQUIRE(process_parent() != nullptr && !process_parent()->sampled());
                  session.offer(0);
                  REQUIRE(claim_first_lane());
                  REQUIRE(session.lost(REMORA_LOSS_no_lane) == 1);
                  return "";
              }),
              "");
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  session.control.heartbeat_ns = 1;
                  start({});
                  REQUIRE(process_parent() != nullptr && !process_parent()->sampled());
                  REQUIRE(session.claimed() == 0);
                  return "";
              }),
              "");
}

TEST(ProcessState, TheEnvironmentsSampler) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  Environment environment;
                  environment.sampler = "traceidratio";
                  environment.sampler_argument = "0";
                  start(environment);
                  REQUIRE(current_sampler().kind == REMORA_SAMPLER_RATIO);
                  REQUIRE(current_sampler().threshold == threshold_never);
                  REQUIRE(!process_parent()->sampled() && session.claimed() == 0);
                  session.control.switches = REMORA_SWITCH_SAMPLER_FORCED;
                  session.control.sampler = REMORA_SAMPLER_ALWAYS_ON;
                  REQUIRE(current_sampler().kind == REMORA_SAMPLER_ALWAYS_ON);
                  session.control.sampler = 4711;
                  REQUIRE(current_sampler().kind == REMORA_SAMPLER_PARENT_ALWAYS_ON);
                  return "";
              }),
              "");
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  session.control.sampler = REMORA_SAMPLER_ALWAYS_OFF;
                  Environment environment;
                  environment.sampler = "sometimes";
                  start(environment);
                  REQUIRE(current_sampler().kind == REMORA_SAMPLER_ALWAYS_OFF);
                  return "";
              }),
              "");
}

TEST(ProcessState, Switches) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  Environment environment;
                  environment.traceparent = parent_text;
                  start(environment);
                  REQUIRE(tracing() && recording());
                  session.control.switches = REMORA_SWITCH_NO_PROCESS_SPANS;
                  REQUIRE(process_parent() == &incoming_context());
                  session.control.switches = REMORA_SWITCH_SDK_DISABLED;
                  REQUIRE(tracing() && !recording());
                  REQUIRE(process_parent() == &incoming_context());
                  session.control.switches = REMORA_SWITCH_DISABLED;
                  REQUIRE(!tracing() && !recording());
                  ChildContext child;
                  REQUIRE(!context_for_child(child));
                  return "";
              }),
              "");
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  Environment environment;
                  environment.sdk_disabled = "TRUE";
                  start(environment);
                  REQUIRE(tracing() && !recording());
                  REQUIRE(session.claimed() == 0 && process_parent() == nullptr);
                  return "";
              }),
              "");
}

TEST(ProcessState, BrokenTracestateIsDropped) {
    for (const std::string& list :
         {std::string("=x"), std::string(600, 'a'), std::string("a=1,a=2")})
        EXPECT_EQ(in_child([&]() -> std::string {
                      TestSession session(1);
                      Environment environment;
                      environment.traceparent = parent_text;
                      environment.tracestate = list.c_str();
                      start(environment);
                      REQUIRE(incoming_context().valid() && process_tracestate().empty());
                      REQUIRE(session.lost(REMORA_LOSS_tracestate_dropped) == 1);
                      return "";
                  }),
                  "")
            << list;
}

TEST(ProcessState, ServersAndDaemonsAreNobodysParent) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  start({});
                  REQUIRE(process_parent() != nullptr);
                  note_referenced();
                  REQUIRE(session.lane(0).head.process.states == REMORA_PROCESS_REFERENCED);
                  note_server();
                  note_server();
                  REQUIRE(process_parent() == nullptr && process_span() != nullptr);
                  REQUIRE(session.lane(0).head.process.states ==
                          (REMORA_PROCESS_REFERENCED | REMORA_PROCESS_SERVER));
                  ChildContext child;
                  REQUIRE(!context_for_child(child));
                  return "";
              }),
              "");
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  start({});
                  note_daemon();
                  REQUIRE(process_parent() == nullptr);
                  return "";
              }),
              "");
}

TEST(ProcessState, AForkedChildBeginsAnew) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(2);
                  start({});
                  note_server();
                  const uint32_t epoch = process_epoch();
                  const uint64_t image = process_image();
                  const SpanContext span = *process_span();
                  const SlotRef slot = reserve_slot(monotonic_now());
                  IdGenerator ours;
                  seed_ids(ours);
                  REQUIRE(!forked());
                  const pid_t me = ::getpid();
                  const std::string wrong = in_child([&]() -> std::string {
                      REQUIRE(forked());
                      notice_fork();
                      REQUIRE(!forked());
                      REQUIRE(process_epoch() == epoch + 1);
                      REQUIRE(process_image() == image);
                      REQUIRE(process_span()->span_id == span.span_id);
                      const remora_process& record = process_record();
                      REQUIRE(record.pid == static_cast<uint32_t>(::getpid()));
                      REQUIRE(record.parent_pid == static_cast<uint32_t>(me));
                      REQUIRE(record.states == (REMORA_PROCESS_FORKED | REMORA_PROCESS_SERVER));
                      finish_slot(slot);
                      REQUIRE(slot.lane->head.done == 0);
                      const SlotRef own = reserve_slot(monotonic_now());
                      REQUIRE(own && own.lane != slot.lane);
                      record_exit(3);
                      REQUIRE((slot.lane->head.process.states & REMORA_PROCESS_EXITED) == 0);
                      REQUIRE(own.lane->head.process.exit_code == 3);
                      return "";
                  });
                  REQUIRE(process_epoch() == epoch && !forked());
                  finish_slot(slot);
                  REQUIRE(slot.lane->head.done != 0);
                  return wrong;
              }),
              "");
}

TEST(ProcessState, ForkedChildrenDrawOtherIds) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(2);
                  start({});
                  std::set<std::string> firsts;
                  for (int i = 0; i < 20; ++i)
                      firsts.insert(in_child([]() -> std::string {
                          notice_fork();
                          IdGenerator ids;
                          seed_ids(ids);
                          return std::to_string(ids.next());
                      }));
                  REQUIRE(firsts.size() == 20);
                  IdGenerator a, b;
                  seed_ids(a);
                  seed_ids(b);
                  REQUIRE(a.next() != b.next());
                  return "";
              }),
              "");
}

TEST(ProcessState, AVforkChildIsRecognised) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer makes vfork a fork";
#endif
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  start({});
                  REQUIRE(!in_vfork_child());
                  static volatile bool recognised;
                  const pid_t child = ::vfork();
                  if (child == 0) {
                      recognised = in_vfork_child();
                      record_exit(9);
                      ::_exit(0);
                  }
                  int status;
                  ::waitpid(child, &status, 0);
                  REQUIRE(recognised);
                  REQUIRE((session.lane(0).head.process.states & REMORA_PROCESS_EXITED) == 0);
                  record_exit(256 + 7);
                  REQUIRE(session.lane(0).head.process.exit_code == 7);
                  return "";
              }),
              "");
}

TEST(ProcessState, SystemCallsThatConcernUs) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(1);
                  start({});
                  note_system_call(SYS_read, 1, 0);
                  note_system_call(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0);
                  REQUIRE(!seccomp_filtered());
                  note_system_call(SYS_exit_group, 5, 0);
                  REQUIRE(session.lane(0).head.process.exit_code == 5);
                  note_system_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0);
                  REQUIRE(seccomp_filtered());
                  return "";
              }),
              "");
}

TEST(ProcessState, AForkUnderAFilterRecordsNothing) {
    EXPECT_EQ(in_child([]() -> std::string {
                  TestSession session(2);
                  start({});
                  note_seccomp();
                  return in_child([&]() -> std::string {
                      notice_fork();
                      REQUIRE(!reserve_slot(monotonic_now()));
                      REQUIRE(session.claimed() == 1);
                      return "";
                  });
              }),
              "");
}

TEST(ProcessState, PassiveWithoutASession) {
    start({});
    EXPECT_FALSE(tracing());
    EXPECT_FALSE(recording());
    EXPECT_FALSE(forked());
    EXPECT_FALSE(in_vfork_child());
    EXPECT_EQ(process_parent(), nullptr);
    EXPECT_EQ(process_span(), nullptr);
    ChildContext child;
    EXPECT_FALSE(context_for_child(child));
    record_exit(1);
}

}  // namespace
}  // namespace remora::shim
