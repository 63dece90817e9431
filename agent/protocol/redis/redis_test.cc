// SPDX-License-Identifier: Apache-2.0
// The parsers: values of every type, cut at every byte, recorded conversations, hostile input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "agent/protocol/protocol.h"

namespace remora {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Protocol& redis() {
    const Protocol* found = find_protocol("redis");
    EXPECT_NE(found, nullptr);
    return *found;
}

// What a run over one direction came to.
struct Outcome {
    std::string capture;
    std::vector<Message> messages;  // complete ones
    Verdict last = Verdict::partial;
    bool unfinished = false;  // the stream ended within a message
};

// One direction of a connection as a caller drives it: acts, then calls again with the rest.
class Reader {
public:
    Reader(MessageKind kind, std::deque<uint32_t> hints, bool nothing_open)
        : kind_(kind), hints_(std::move(hints)), nothing_open_(nothing_open) {}

    // false: nothing can be followed any more.
    bool feed(ByteView input, bool use_skip) {
        while (input.size > 0) {
            uint64_t body = use_skip ? redis().body_left(state_) : 0;
            if (body > 0) {
                body = std::min<uint64_t>(body, input.size);
                EXPECT_EQ(redis().skip(state_, message_, body), Verdict::partial);
                input = input.from(body);
                run_.last = Verdict::partial;
                continue;
            }
            Parse parse{state_, message_, capture_, kind_};
            parse.answer_hint = hints_.empty() ? 0 : hints_.front();
            parse.answers_nothing = nothing_open_;
            const Step step = redis().parse(parse, input);
            EXPECT_LE(step.consumed, input.size);
            input = input.from(step.consumed);
            if (!note(step.verdict)) return false;
            EXPECT_TRUE(step.verdict != Verdict::partial || input.size == 0);
        }
        return true;
    }
    Outcome result() {
        run_.capture.assign(reinterpret_cast<char*>(memory_), capture_.size);
        run_.unfinished = redis().finish(state_, message_) == Verdict::invalid;
        return run_;
    }

private:
    bool note(Verdict verdict) {
        run_.last = verdict;
        if (verdict == Verdict::begin) {
            EXPECT_FALSE(open_);
            open_ = true;
            heads_ = 0;
        }
        if (verdict == Verdict::head) ++heads_;
        EXPECT_LE(heads_, 1);
        if (verdict == Verdict::complete) {
            EXPECT_TRUE(open_);
            open_ = false;
            run_.messages.push_back(message_);
            if (!hints_.empty() && !message_.push) hints_.pop_front();
        }
        return verdict != Verdict::invalid && verdict != Verdict::ignored;
    }

    MessageKind kind_;
    std::deque<uint32_t> hints_;
    bool nothing_open_;
    ParserState state_;
    Message message_;
    uint8_t memory_[4096];
    Capture capture_{memory_, 0, sizeof(memory_)};
    Outcome run_;
    bool open_ = false;
    int heads_ = 0;
};

Outcome run(MessageKind kind, const std::string& bytes, std::deque<uint32_t> hints = {},
            size_t piece = SIZE_MAX, bool use_skip = false, bool nothing_open = false) {
    Reader reader(kind, std::move(hints), nothing_open);
    for (size_t at = 0; at < bytes.size();) {
        const size_t size = std::min(piece, bytes.size() - at);
        // Its own allocation: a sanitizer sees a read beyond the input.
        const std::vector<uint8_t> copy(bytes.begin() + at, bytes.begin() + at + size);
        if (!reader.feed({copy.data(), copy.size()}, use_skip)) break;
        at += size;
    }
    return reader.result();
}
Outcome request(const std::string& bytes) { return run(MessageKind::request, bytes); }
Outcome response(const std::string& bytes) { return run(MessageKind::response, bytes); }

std::string command(const std::vector<std::string>& words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words)
        out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return out;
}

std::string corpus(const std::string& file) {
    std::ifstream in(REMORA_SOURCE_DIR "/agent/protocol/redis/corpus/" + file, std::ios::binary);
    EXPECT_TRUE(in) << file;
    return {std::istreambuf_iterator<char>(in), {}};
}

void expect_same(const Outcome& a, const Outcome& b) {
    EXPECT_EQ(a.capture, b.capture);
    EXPECT_EQ(a.last, b.last);
    EXPECT_EQ(a.unfinished, b.unfinished);
    ASSERT_EQ(a.messages.size(), b.messages.size());
    for (size_t i = 0; i < a.messages.size(); ++i) {
        EXPECT_EQ(a.messages[i].push, b.messages[i].push);
        EXPECT_EQ(a.messages[i].error, b.messages[i].error);
        EXPECT_EQ(a.messages[i].one_way, b.messages[i].one_way);
        EXPECT_EQ(a.messages[i].answer_hint, b.messages[i].answer_hint);
        EXPECT_EQ(a.messages[i].body_bytes, b.messages[i].body_bytes);
        EXPECT_EQ(a.messages[i].head_bytes, b.messages[i].head_bytes);
    }
}

// However the stream is cut, the result is that of the whole.
Outcome run_all_ways(MessageKind kind, const std::string& bytes, std::deque<uint32_t> hints = {}) {
    const Outcome whole = run(kind, bytes, hints);
    for (size_t piece : {1, 2, 3, 5, 7, 16, 61})
        for (bool use_skip : {false, true}) {
            SCOPED_TRACE(piece);
            expect_same(whole, run(kind, bytes, hints, piece, use_skip));
        }
    return whole;
}

// --- requests ------------------------------------------------------------------------------------

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
                                  command({"FT.SEARCH", "i"}) + command({"EVALSHA_RO", "i"}));
    EXPECT_EQ(r.capture, "_OTHER\n_OTHER\n_OTHER\n_OTHER\nFT.SEARCH\nEVALSHA_RO\n");
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
          "*1\n", "*1\r\n$?\r\n", "*?\r\n", "*99999999999\r\n", "*1\r\n$9999999999999999\r\n",
          "*--1\r\n", "*1\r\r", "*1\r\n$4\rPING", "*1\r\n*1\r\n$4\r\nPING\r\n"}) {
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

// --- responses -----------------------------------------------------------------------------------

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
    EXPECT_THAT(answer.messages, IsEmpty());
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

// --- both ----------------------------------------------------------------------------------------

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
}  // namespace remora
