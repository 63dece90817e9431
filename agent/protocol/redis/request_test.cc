// SPDX-License-Identifier: Apache-2.0
// Commands: names, secrets, cuts, malformed input.
#include "agent/protocol/redis/test_reader.h"

namespace remora::protocol::redis {
namespace {

TEST(RedisRequest, CapturesNamesAndNeverArguments) {
    const Outcome r = run_all_ways(MessageKind::request,
                                   command({"AUTH", "user", "password"}) + command({"get", "key"}) +
                                       command({"SET", "SETTING", "GET"}) + command({"ping"}));
    EXPECT_EQ(r.capture, "AUTH\nGET\nSET\nPING\n");
    EXPECT_EQ(r.messages.size(), 4u);
    EXPECT_EQ(r.messages[1].body_bytes, 6u);
    EXPECT_FALSE(r.unfinished);
}

TEST(RedisRequest, NamesOfContainersHaveTwoWords) {
    const Outcome r = run_all_ways(
        MessageKind::request,
        command({"config", "get", "requirepass"}) + command({"COMMAND"}) +
            command({"CLIENT", "SETNAME", "me"}) + command({"CONFIG", "hunter2", "x"}) +
            command({"SENTINEL", "is-master-down-by-addr", "x"}) +
            command({"XGROUP", std::string(40, 'A')}) + command({"CONFIGS", "GET"}));
    EXPECT_EQ(
        r.capture,
        "CONFIG GET\nCOMMAND\nCLIENT SETNAME\nCONFIG\nSENTINEL IS-MASTER-DOWN-BY-ADDR\nXGROUP\n"
        "CONFIGS\n");
}

TEST(RedisRequest, HidesWhatIsNotMadeLikeAName) {
    const Outcome r = run_all_ways(
        MessageKind::request, command({"b840fc02d524045429941cc15f59e41cb7be6c52", "get"}) +
                                  command({"my secret"}) + command({""}) + command({"9lives"}) +
                                  command({"KEY:1"}) + command({"FT.SEARCH", "i"}) +
                                  command({"EVALSHA_RO", "i"}));
    EXPECT_EQ(r.capture, "_OTHER\n_OTHER\n_OTHER\n_OTHER\n_OTHER\nFT.SEARCH\nEVALSHA_RO\n");
}

TEST(RedisRequest, LargeArgumentsArePassedOver) {
    const std::string bytes =
        command({"SET", "big", std::string(300000, '\r')}) + command({"GET", "x"});
    const Outcome r = run(MessageKind::request, bytes, {}, 1000, true);
    EXPECT_EQ(r.capture, "SET\nGET\n");
    ASSERT_EQ(r.messages.size(), 2u);
    EXPECT_EQ(r.messages[0].body_bytes, 300006u);
}

TEST(RedisRequest, AnEmptyArrayHasNoAnswer) {
    const Outcome r = run_all_ways(MessageKind::request, "*0\r\n*-1\r\n" + command({"PING"}));
    ASSERT_EQ(r.messages.size(), 3u);
    EXPECT_TRUE(r.messages[0].one_way);
    EXPECT_TRUE(r.messages[1].one_way);
    EXPECT_FALSE(r.messages[2].one_way);
}

TEST(RedisRequest, MalformedIsInvalid) {
    for (const char* bytes :
         {"PING\r\n", "*1\r\n+PING\r\n", "*1\r\n$-1\r\n", "*1\r\n$4\r\nPINGxx", "*x\r\n", "*\r\n",
          "*1\n", "*1\r\n$?\r\n", "*?\r\n", "*99999999999\r\n", "*18446744073709551617\r\n",
          "*1\r\n$1099511627777\r\n", "*1\r\n$9999999999999999\r\n", "*--1\r\n", "*1\r\r",
          "*1\r\n$4\rPING", "*1\r\n*1\r\n$4\r\nPING\r\n"}) {
        SCOPED_TRACE(bytes);
        EXPECT_EQ(run_all_ways(MessageKind::request, bytes).last, Verdict::invalid);
    }
}

TEST(RedisRequest, TheEndWithinACommandIsUnfinished) {
    const std::string whole = command({"SET", "key", "value"});
    for (size_t size = 1; size < whole.size(); ++size)
        EXPECT_TRUE(request(whole.substr(0, size)).unfinished) << size;
    EXPECT_FALSE(request(whole).unfinished);
}

TEST(RedisRequest, AFullCaptureTakesNoPartOfAName) {
    uint8_t memory[10];
    Capture capture{memory, 0, sizeof(memory)};
    ParserState state;
    Message message;
    const std::string bytes = command({"PING"}) + command({"SUBSCRIBE", "x"});
    ByteView input(bytes.data(), bytes.size());
    while (input.size > 0) {
        Parse parse{state, message, capture, MessageKind::request};
        input = input.from(redis().parse(parse, input).consumed);
    }
    EXPECT_EQ(std::string(reinterpret_cast<char*>(memory), capture.size), "PING\n");
    EXPECT_TRUE(capture.cut);
}

TEST(RedisRequest, ClientReplyEndsFollowing) {
    const Outcome r = run_all_ways(MessageKind::request,
                                   command({"CLIENT", "REPLY", "OFF"}) + command({"GET", "x"}));
    EXPECT_EQ(r.capture, "CLIENT REPLY\n");
    EXPECT_EQ(r.last, Verdict::ignored);
    ASSERT_EQ(r.messages.size(), 1u);
    EXPECT_TRUE(r.messages[0].one_way);
}

}  // namespace
}  // namespace remora::protocol::redis
