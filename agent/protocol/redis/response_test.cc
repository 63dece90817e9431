// SPDX-License-Identifier: Apache-2.0
// Values of every type, errors, pushes, subscriptions, malformed input.
#include <string.h>

#include "agent/protocol/redis/test_reader.h"

namespace remora::protocol::redis {
namespace {

TEST(RedisResponse, EveryType) {
    for (const char* bytes : {"+OK\r\n",
                              ":-5\r\n",
                              "$5\r\nhello\r\n",
                              "$0\r\n\r\n",
                              "$-1\r\n",
                              "*-1\r\n",
                              "*0\r\n",
                              "*2\r\n$3\r\nfoo\r\n:1\r\n",
                              "_\r\n",
                              "#t\r\n",
                              ",1.5\r\n",
                              ",inf\r\n",
                              "(3492890328409238509324850943850943825024385\r\n",
                              "=8\r\ntxt:text\r\n",
                              "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
                              "~2\r\n+a\r\n+b\r\n",
                              "%0\r\n",
                              "|1\r\n+ttl\r\n:5\r\n$2\r\nok\r\n",
                              "*2\r\n|1\r\n+a\r\n%1\r\n+b\r\n:1\r\n:1\r\n:2\r\n",
                              "|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:2\r\n+OK\r\n",
                              "$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;0\r\n",
                              "$?\r\n;0\r\n",
                              "*?\r\n:1\r\n*2\r\n:2\r\n:3\r\n.\r\n",
                              "%?\r\n+a\r\n*?\r\n~?\r\n.\r\n.\r\n.\r\n",
                              "*1\r\n-ERR inside\r\n"}) {
        SCOPED_TRACE(bytes);
        const Outcome r = run_all_ways(MessageKind::response, std::string(bytes) + "+NEXT\r\n");
        EXPECT_EQ(r.messages.size(), 2u);
        EXPECT_EQ(r.capture, "");
        EXPECT_EQ(r.last, Verdict::complete);
        EXPECT_FALSE(r.unfinished);
        EXPECT_FALSE(!r.messages.empty() && (r.messages[0].error || r.messages[0].push));
        EXPECT_TRUE(response(std::string(bytes, strlen(bytes) - 1)).unfinished);
    }
}

TEST(RedisResponse, ErrorsGiveTheirCodeAndNoMore) {
    const Outcome r = run_all_ways(
        MessageKind::response,
        "-ERR unknown command 'x', with args beginning with: 'secret'\r\n-MOVED 3999 10.0.0.1:1\r\n"
        "!21\r\nSYNTAX invalid syntax\r\n-not for a "
        "span\r\n-\r\n!0\r\n\r\n-NOAUTH\r\n!4\r\nBUSY\r\n" +
            ("-" + std::string(40, 'X')) + "\r\n+OK\r\n");
    EXPECT_EQ(r.capture, "ERR\nMOVED\nSYNTAX\n_OTHER\n_OTHER\n_OTHER\nNOAUTH\nBUSY\n_OTHER\n");
    ASSERT_EQ(r.messages.size(), 10u);
    for (size_t i = 0; i < 9; ++i) EXPECT_TRUE(r.messages[i].error) << i;
    EXPECT_FALSE(r.messages[9].error);
}

TEST(RedisResponse, PushesAnswerNothing) {
    const Outcome r = run_all_ways(MessageKind::response,
                                   ">2\r\n+invalidate\r\n*1\r\n+k\r\n+OK\r\n>1\r\n-ERR inside\r\n");
    ASSERT_EQ(r.messages.size(), 3u);
    EXPECT_TRUE(r.messages[0].push);
    EXPECT_FALSE(r.messages[1].push);
    EXPECT_TRUE(r.messages[2].push);
    EXPECT_EQ(r.capture, "");
}

TEST(RedisResponse, AnAnswerToNothingEndsFollowing) {
    const Outcome answer = run(MessageKind::response, "+OK\r\n", {}, SIZE_MAX, false, true);
    EXPECT_EQ(answer.last, Verdict::ignored);
    EXPECT_TRUE(answer.messages.empty());
    const Outcome push = run(MessageKind::response, ">1\r\n+x\r\n", {}, SIZE_MAX, false, true);
    EXPECT_EQ(push.messages.size(), 1u);
}

TEST(RedisResponse, SubscriptionsAreNotFollowed) {
    for (const char* name : {"SUBSCRIBE", "psubscribe", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"}) {
        const Outcome asked = run_all_ways(MessageKind::request, command({name, "x"}));
        ASSERT_EQ(asked.messages.size(), 1u);
        const uint32_t hint = asked.messages[0].answer_hint;
        EXPECT_NE(hint, 0u);
        const std::string confirmed = "3\r\n+subscribe\r\n+x\r\n:1\r\n";
        for (const char* type : {"*", ">"}) {
            const Outcome r =
                run_all_ways(MessageKind::response,
                             "+PONG\r\n" + (type + confirmed) + "*1\r\n+m\r\n", {0, hint});
            ASSERT_EQ(r.messages.size(), 2u);
            EXPECT_FALSE(r.messages[1].push);
            EXPECT_EQ(r.last, Verdict::ignored);
        }
        // Refused: nothing streams.
        const Outcome r = run_all_ways(MessageKind::response, "-NOAUTH x\r\n+OK\r\n", {hint, 0});
        EXPECT_EQ(r.messages.size(), 2u);
    }
    EXPECT_EQ(request(command({"GET", "SUBSCRIBE"})).messages.at(0).answer_hint, 0u);
}

TEST(RedisResponse, MalformedIsInvalid) {
    std::string deep;
    for (int i = 0; i < 5; ++i) deep += "*?\r\n";
    std::string many;
    for (int i = 0; i < 4; ++i) many += "%2147483647\r\n";
    for (const std::string& bytes : std::vector<std::string>{"OK\r\n",
                                                             "+O\nK",
                                                             "+O\rK",
                                                             "$5\r\nhelloxx",
                                                             "*2\r\n>1\r\n:1\r\n:2\r\n",
                                                             "*x\r\n",
                                                             "$-2\r\n",
                                                             "%-1\r\n",
                                                             "=-1\r\n",
                                                             "|?\r\n",
                                                             ">?\r\n",
                                                             ";4\r\nabcd\r\n",
                                                             ".\r\n",
                                                             "!?\r\n",
                                                             "$?\r\n$4\r\n",
                                                             "*1\r\n.\r\n",
                                                             "*?\r\n*1\r\n.\r\n",
                                                             "$99999999999999\r\n",
                                                             "%2147483648\r\n",
                                                             "*2147483648\r\n",
                                                             "$18446744073709551617\r\n",
                                                             deep,
                                                             many}) {
        SCOPED_TRACE(bytes);
        EXPECT_EQ(run_all_ways(MessageKind::response, bytes).last, Verdict::invalid);
    }
}

TEST(RedisResponse, DepthCostsNothing) {
    std::string bytes;
    for (int i = 0; i < 100000; ++i) bytes += "*1\r\n";
    const Outcome r = run(MessageKind::response, bytes + ":1\r\n+OK\r\n", {}, 1000);
    EXPECT_EQ(r.messages.size(), 2u);
}

TEST(RedisResponse, LargeBodiesArePassedOver) {
    const std::string body(1 << 20, '\n');
    const Outcome r =
        run(MessageKind::response,
            "$" + std::to_string(body.size()) + "\r\n" + body + "\r\n+OK\r\n", {}, 4096, true);
    ASSERT_EQ(r.messages.size(), 2u);
    EXPECT_EQ(r.messages[0].body_bytes, body.size());
}

TEST(RedisResponse, MoreThanABodyIsNotSkipped) {
    ParserState state;
    Message message;
    Capture capture;
    Parse parse{state, message, capture, MessageKind::response};
    EXPECT_EQ(redis().skip(state, message, 1), Verdict::invalid);
    ByteView input("$5\r\nhel");
    while (input.size > 0) input = input.from(redis().parse(parse, input).consumed);
    EXPECT_EQ(redis().body_left(state), 2u);
    EXPECT_EQ(redis().skip(state, message, 3), Verdict::invalid);
    EXPECT_EQ(redis().skip(state, message, 2), Verdict::partial);
    EXPECT_EQ(redis().body_left(state), 0u);
}

}  // namespace
}  // namespace remora::protocol::redis
