// SPDX-License-Identifier: Apache-2.0
// Detection, noise, and conversations recorded between clients and redis-server 7.0.15.
#include <random>
#include <utility>

#include "agent/protocol/redis/test_reader.h"

namespace remora::protocol::redis {
namespace {

TEST(Redis, NoiseNeverBreaksTheParser) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const std::string alphabet = "*$+-:_#,(=!%~|>;.?\r\n0123456789abcGET \xff";
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = round % 2 != 0 ? corpus("resp3.response").substr(random() % 900, 200)
                                           : std::string(random() % 60, '*');
        for (char& c : bytes)
            if (round % 2 == 0 || random() % 20 == 0) c = alphabet[random() % alphabet.size()];
        for (MessageKind kind : {MessageKind::request, MessageKind::response}) {
            const Outcome whole = run(kind, bytes);
            expect_same(whole, run(kind, bytes, {}, 1 + random() % 9, random() % 2 != 0));
            if (::testing::Test::HasFailure()) return;
        }
    }
}

TEST(RedisDetect, NeedsThreeBytesOfAName) {
    const auto detect = [](const std::string& s) { return redis().detect({s.data(), s.size()}); };
    const std::string whole = "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n";
    for (size_t size = 0; size < 11; ++size)
        EXPECT_EQ(detect(whole.substr(0, size)), Detection::maybe) << size;
    for (size_t size = 11; size <= whole.size(); ++size)
        EXPECT_EQ(detect(whole.substr(0, size)), Detection::yes) << size;
    EXPECT_EQ(detect("*999999999\r\n$12\r\nabc"), Detection::yes);
    for (const char* bytes :
         {"PING\r\n", "GET / HTTP/1.1\r\n", "*x", "*0\r\n", "*1\n", "*1\r$", "*1\r\n+",
          "*1\r\n$4\r\n4444", "*1234567890", "*1\r\n$123", "*1\r\n$01\r\n", "*\r\n", "*1\r\n$\r\n",
          "$3\r\n", "*1\r\n$4\r\nGE\r\n"})
        EXPECT_EQ(detect(bytes), Detection::no) << bytes;
    // After 24 bytes there is an answer.
    for (int i = 0; i < 256; ++i)
        for (const char* start : {"*", "*111111111", "*1\r\n$", "*1\r\n$99\r\n"})
            EXPECT_NE(detect((start + std::string(24, static_cast<char>(i))).substr(0, 24)),
                      Detection::maybe);
}

TEST(Redis, IsAClientProtocolWithoutHeaders) {
    EXPECT_FALSE(redis().serves);
    EXPECT_TRUE(redis().calls);
    EXPECT_FALSE(redis().injects);
    EXPECT_TRUE(redis().batches);
}

// --- conversations recorded between clients and redis-server 7.0.15 ------------------------------

// Runs both directions; the hints of the requests go to the responses.
std::pair<Outcome, Outcome> conversation(const std::string& name) {
    SCOPED_TRACE(name);
    const Outcome asked = run_all_ways(MessageKind::request, corpus(name + ".request"));
    std::deque<uint32_t> hints;
    for (const Message& m : asked.messages) hints.push_back(m.answer_hint);
    return {asked, run_all_ways(MessageKind::response, corpus(name + ".response"), hints)};
}

size_t answers(const Outcome& run) {
    return static_cast<size_t>(std::count_if(run.messages.begin(), run.messages.end(),
                                             [](const Message& m) { return !m.push; }));
}

TEST(RedisRecorded, Resp2) {
    const auto [asked, answered] = conversation("resp2");
    EXPECT_EQ(asked.capture,
              "SET\nGET\nGET\nINCR\nLPUSH\nLRANGE\nGET\nNOSUCHCOMMAND\nCONFIG GET\nCLIENT SETNAME\n"
              "HSET\nHGETALL\nMULTI\nSET\nINCR\nEXEC\nEVAL\nSCAN\nXADD\nXREAD\nQUIT\n");
    EXPECT_EQ(answered.capture, "WRONGTYPE\nERR\n");
    EXPECT_EQ(answers(answered), asked.messages.size());
    EXPECT_FALSE(answered.unfinished);
}

TEST(RedisRecorded, Resp3) {
    const auto [asked, answered] = conversation("resp3");
    EXPECT_EQ(asked.messages.size(), 24u);
    EXPECT_EQ(answers(answered), asked.messages.size());
    EXPECT_EQ(answered.messages.size(), asked.messages.size() + 1);  // one invalidation
    EXPECT_EQ(answered.capture, "WRONGTYPE\n");
    EXPECT_FALSE(answered.unfinished);
}

TEST(RedisRecorded, PipelineErrorsAndCommandLine) {
    const auto [pipeline, pipeline_answers] = conversation("pipeline");
    EXPECT_EQ(pipeline.capture, "SET\nGET\nLPUSH\nGET\n");
    EXPECT_EQ(pipeline_answers.capture, "WRONGTYPE\n");
    EXPECT_EQ(answers(pipeline_answers), 4u);

    const auto [errors, error_answers] = conversation("errors");
    EXPECT_EQ(errors.capture, "CLUSTER INFO\nAUTH\n");
    EXPECT_EQ(error_answers.capture, "ERR\nWRONGPASS\n");

    EXPECT_EQ(conversation("cli").first.capture, "SET\n");
    EXPECT_EQ(conversation("cli-eval").second.capture, "_OTHER\n");
}

TEST(RedisRecorded, Subscriptions) {
    for (const char* name : {"subscribe", "subscribe3"}) {
        const auto [asked, answered] = conversation(name);
        EXPECT_EQ(answers(answered), 2u) << name;
        EXPECT_EQ(answered.last, Verdict::ignored) << name;
    }
}

}  // namespace
}  // namespace remora::protocol::redis
