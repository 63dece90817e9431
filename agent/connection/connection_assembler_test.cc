// SPDX-License-Identifier: Apache-2.0
#include "agent/connection/connection_assembler.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <random>

#include "tests/support/conversation.h"
#include "tests/support/record_log.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::Conversation;
using test::LoggedExchange;
using test::RecordLog;
using test::to_text;

constexpr const char* get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr const char* ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
constexpr char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

std::string hex(const uint8_t* bytes, size_t count) {
    std::string text(2 * count, '0');
    write_hex(bytes, count, text.data());
    return text;
}
template <size_t N>
std::string hex(const uint8_t (&bytes)[N]) {
    return hex(bytes, N);
}

class AssemblerTest : public ::testing::Test {
protected:
    AssemblerTest() { restart({}); }
    void restart(AssemblerOptions options) {
        options.seed[0] = 1;
        log = {};
        assembler = std::make_unique<ConnectionAssembler>(options, log);
    }
    const LoggedExchange& only() {
        EXPECT_EQ(1u, log.exchanges.size());
        static const LoggedExchange none{};
        return log.exchanges.empty() ? none : log.exchanges[0];
    }

    RecordLog log;
    std::unique_ptr<ConnectionAssembler> assembler;
};

TEST_F(AssemblerTest, MakesAnExchangeOfRequestAndResponse) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.open().after(1ms).client(get).after(2ms).server(ok).after(4ms).close();
    talk.play(*assembler);
    const remora_exchange& e = only().exchange;
    EXPECT_STREQ("http", e.protocol);
    EXPECT_EQ(REMORA_ROLE_SERVER, e.role);
    EXPECT_EQ(REMORA_END_COMPLETE, e.end);
    EXPECT_EQ(1'001'000'000u, e.start_ns);
    EXPECT_EQ(1'001'000'000u, e.request_end_ns);
    EXPECT_EQ(1'003'000'000u, e.response_start_ns);
    EXPECT_EQ(1'003'000'000u, e.end_ns);
    EXPECT_EQ(strlen(get), e.request_bytes);
    EXPECT_EQ(strlen(ok), e.response_bytes);
    EXPECT_EQ(5u, e.response_body_bytes);
    EXPECT_EQ(54321, e.peer.port);
    EXPECT_EQ(7u, e.thread);
    EXPECT_EQ(1u, e.image);
    EXPECT_EQ(1u, e.connection);
    EXPECT_EQ(REMORA_JOIN_ROOT, e.join);
    EXPECT_EQ(3, e.trace_flags);
    EXPECT_TRUE(only().request.starts_with("GET /a HTTP/1.1\n"));
    EXPECT_EQ("HTTP/1.1 200\n", only().response.substr(0, 13));
    EXPECT_TRUE(log.losses.empty());
    EXPECT_EQ(0u, assembler->connections());
}

TEST_F(AssemblerTest, TheSameHoweverTheBytesAreCut) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.open(true).client(get).after(1ms).server(ok).client(get).server(ok).close();
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    const RecordLog whole = log;
    for (size_t size = 1; size < 64; ++size) {
        restart({});
        talk.play_in_pieces(*assembler, size);
        ASSERT_EQ(2u, log.exchanges.size()) << size;
        for (size_t i = 0; i < 2; ++i) {
            EXPECT_EQ(0, memcmp(&whole.exchanges[i].exchange, &log.exchanges[i].exchange,
                                sizeof(remora_exchange)))
                << size;
            EXPECT_EQ(whole.exchanges[i].request, log.exchanges[i].request);
            EXPECT_EQ(whole.exchanges[i].response, log.exchanges[i].response);
        }
    }
}

TEST_F(AssemblerTest, AServersParentIsInTheHead) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client(std::string("GET / HTTP/1.1\r\nHost: x\r\ntraceparent: ") + traceparent +
                "\r\ntracestate: a=1\r\nTraceState: b=2\r\n\r\n");
    talk.server(ok);
    talk.play(*assembler);
    const remora_exchange& e = only().exchange;
    EXPECT_EQ(REMORA_JOIN_REMOTE, e.join);
    EXPECT_EQ("0af7651916cd43dd8448eb211c80319c", hex(e.trace_id));
    EXPECT_EQ("b7ad6b7169203331", hex(e.parent_id));
    EXPECT_NE("b7ad6b7169203331", hex(e.span_id));
    EXPECT_EQ(3, e.trace_flags);
    EXPECT_EQ("a=1,b=2", only().tracestate);
}

TEST_F(AssemblerTest, AnInvalidTraceHeaderIsCountedAndIgnored) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client("GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-xyz\r\n\r\n").server(ok);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_JOIN_ROOT, only().exchange.join);
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_trace_header_invalid));
}

TEST_F(AssemblerTest, UnsampledRequestsAreNotReported) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client(
            "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: "
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n")
        .server(ok)
        .client(get)
        .server(ok);
    talk.play(*assembler);
    EXPECT_EQ(1u, only().exchange.sequence);  // the second one
    AssemblerOptions options;
    options.sampler.kind = REMORA_SAMPLER_ALWAYS_OFF;
    restart(options);
    talk.play(*assembler);
    EXPECT_TRUE(log.exchanges.empty());
}

TEST_F(AssemblerTest, AClientsParentIsItsCaller) {
    SpanContext caller;
    ASSERT_TRUE(parse_traceparent(traceparent, caller));
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.caller(caller).client(get).server(ok);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_JOIN_THREAD, only().exchange.join);
    EXPECT_EQ("b7ad6b7169203331", hex(only().exchange.parent_id));
}

TEST_F(AssemblerTest, AnIdThatIsOnTheWireIsAdopted) {
    SpanContext wire;
    ASSERT_TRUE(parse_traceparent(traceparent, wire));
    Conversation talk{REMORA_ROLE_CLIENT};
    const std::string head =
        std::string("GET / HTTP/1.1\r\nHost: x\r\ntraceparent: ") + traceparent + "\r\n\r\n";
    talk.minted(wire.span_id).client(head).minted({}).server(ok).client(head).server(ok);
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    const remora_exchange& ours = log.exchanges[0].exchange;
    EXPECT_EQ("b7ad6b7169203331", hex(ours.span_id));
    EXPECT_EQ("0af7651916cd43dd8448eb211c80319c", hex(ours.trace_id));
    EXPECT_TRUE(ours.marks & REMORA_MARK_INJECTED);
    EXPECT_EQ(REMORA_JOIN_ROOT, ours.join);
    // The second one's head is the program's own.
    const remora_exchange& theirs = log.exchanges[1].exchange;
    EXPECT_EQ(REMORA_JOIN_PROGRAM, theirs.join);
    EXPECT_EQ("b7ad6b7169203331", hex(theirs.parent_id));
    EXPECT_NE("b7ad6b7169203331", hex(theirs.span_id));
}

TEST_F(AssemblerTest, PipelinedRequestsAreAnsweredInOrder) {
    Conversation talk{REMORA_ROLE_SERVER};
    const std::string two = std::string(get) + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    talk.client(two).after(1ms).server(ok).after(1ms).server(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    EXPECT_TRUE(log.exchanges[0].request.starts_with("GET /a"));
    EXPECT_TRUE(log.exchanges[0].response.starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(log.exchanges[1].request.starts_with("GET /b"));
    EXPECT_TRUE(log.exchanges[1].response.starts_with("HTTP/1.1 404"));
    EXPECT_NE(hex(log.exchanges[0].exchange.span_id), hex(log.exchanges[1].exchange.span_id));
    EXPECT_EQ(1u, log.exchanges[1].exchange.sequence);
}

TEST_F(AssemblerTest, AnInterimAnswerIsNotTheAnswer) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    talk.after(1ms).server("HTTP/1.1 100 Continue\r\n\r\n").after(1ms).client("abc");
    talk.after(1ms).server(ok);
    talk.play(*assembler);
    const remora_exchange& e = only().exchange;
    EXPECT_EQ(REMORA_END_COMPLETE, e.end);
    EXPECT_EQ(3u, e.request_body_bytes);
    EXPECT_EQ(1'002'000'000u, e.request_end_ns);
    EXPECT_EQ(1'003'000'000u, e.end_ns);
    EXPECT_NE(std::string::npos, only().response.find("HTTP/1.1 200"));
}

TEST_F(AssemblerTest, AnAnswerBeforeTheRequestIsWholeWaitsForIt) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").after(1ms).server(ok);
    talk.after(1ms).client("cd");
    talk.play(*assembler);
    EXPECT_EQ(1'001'000'000u, only().exchange.end_ns);
    EXPECT_EQ(4u, only().exchange.request_body_bytes);
}

TEST_F(AssemblerTest, AConnectionThatWasOpenedForItCounts) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.open(true).after(5ms).client(get).server(ok).client(get).server(ok);
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    EXPECT_EQ(1'000'000'000u, log.exchanges[0].exchange.start_ns);
    EXPECT_TRUE(log.exchanges[0].exchange.marks & REMORA_MARK_NEW_CONNECTION);
    EXPECT_EQ(1'005'000'000u, log.exchanges[1].exchange.start_ns);
    EXPECT_FALSE(log.exchanges[1].exchange.marks & REMORA_MARK_NEW_CONNECTION);
}

TEST_F(AssemblerTest, CommandsOfOneWriteAreOneBatch) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.client("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n");
    talk.after(1ms).server("$1\r\nx\r\n").after(1ms).server("$1\r\ny\r\n");
    talk.client("*1\r\n$4\r\nPING\r\n").server("+PONG\r\n");
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    EXPECT_STREQ("redis", log.exchanges[0].exchange.protocol);
    EXPECT_EQ(2u, log.exchanges[0].exchange.batch);
    EXPECT_EQ(1'002'000'000u, log.exchanges[0].exchange.end_ns);
    EXPECT_EQ("GET\nGET\n", log.exchanges[0].request);
    EXPECT_EQ(1u, log.exchanges[1].exchange.batch);
}

TEST_F(AssemblerTest, ASwitchOfProtocolEndsTheExchangeAndTheStory) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.client("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    talk.after(1ms).server(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\n\r\n\x81\x05hello");
    talk.client("\x81\x85....").close();
    talk.play(*assembler);
    EXPECT_EQ(REMORA_END_TUNNEL, only().exchange.end);
    EXPECT_EQ(1'001'000'000u, only().exchange.end_ns);
    EXPECT_TRUE(log.losses.empty());
}

TEST_F(AssemblerTest, ASwitchThatIsRefusedLetsHeldRequestsGoOn) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.client("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    talk.client("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    talk.server(ok).server(ok);
    talk.play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    EXPECT_TRUE(log.exchanges[1].request.starts_with("GET /held"));
    EXPECT_EQ(REMORA_END_COMPLETE, log.exchanges[1].exchange.end);
}

TEST_F(AssemblerTest, AResponseThatEndsWithItsConnection) {
    Conversation talk{REMORA_ROLE_CLIENT};
    talk.client("GET / HTTP/1.0\r\n\r\n")
        .server("HTTP/1.0 200 OK\r\n\r\nhel")
        .after(1ms)
        .server("lo");
    talk.after(1ms).close(REMORA_END_PEER);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_END_COMPLETE, only().exchange.end);
    EXPECT_EQ(5u, only().exchange.response_body_bytes);
    restart({});
    Conversation early{REMORA_ROLE_CLIENT};  // here the client itself lost interest
    early.client("GET / HTTP/1.0\r\n\r\n").server("HTTP/1.0 200 OK\r\n\r\nhel").close();
    early.play(*assembler);
    EXPECT_EQ(REMORA_END_LOCAL, only().exchange.end);
}

TEST_F(AssemblerTest, SaysHowWhatStayedOpenEnded) {
    const auto ended = [this](remora_end end, int number) {
        restart({});
        Conversation talk{REMORA_ROLE_CLIENT};
        talk.client(get).after(3ms).close(end, number);
        talk.play(*assembler);
        EXPECT_EQ(1'003'000'000u, only().exchange.end_ns);
        EXPECT_EQ(0u, only().exchange.response_start_ns);
        return only().exchange;
    };
    EXPECT_EQ(REMORA_END_LOCAL, ended(REMORA_END_LOCAL, 0).end);
    EXPECT_EQ(REMORA_END_PEER, ended(REMORA_END_PEER, 0).end);
    const remora_exchange failed = ended(REMORA_END_ERROR, ECONNRESET);
    EXPECT_EQ(REMORA_END_ERROR, failed.end);
    EXPECT_EQ(ECONNRESET, failed.error_number);
}

TEST_F(AssemblerTest, AHeadThatWasNeverWholeIsNoExchange) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client("GET / HTTP/1.1\r\nHost:").close();
    talk.play(*assembler);
    EXPECT_TRUE(log.exchanges.empty());
}

TEST_F(AssemblerTest, BytesMissingInABodyDoNoHarm) {
    for (const bool told : {true, false}) {
        restart({});
        Conversation talk{REMORA_ROLE_SERVER};
        talk.client(get).server("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxx");
        talk.server_unseen(90'000, told).server(std::string(9'998, 'x')).client(get).server(ok);
        talk.play(*assembler);
        ASSERT_EQ(2u, log.exchanges.size()) << told;
        EXPECT_EQ(100'000u, log.exchanges[0].exchange.response_body_bytes);
        EXPECT_EQ(REMORA_END_COMPLETE, log.exchanges[1].exchange.end);
        EXPECT_TRUE(log.losses.empty());
    }
}

TEST_F(AssemblerTest, BytesMissingElsewhereEndTheStory) {
    for (const bool told : {true, false}) {
        restart({});
        Conversation talk{REMORA_ROLE_SERVER};
        talk.client(get).server(ok).client(get).server_unseen(10, told).server(ok).client(get);
        talk.play(*assembler);
        ASSERT_EQ(2u, log.exchanges.size()) << told;
        EXPECT_EQ(REMORA_END_UNFOLLOWED, log.exchanges[1].exchange.end);
        EXPECT_EQ(1u, log.lost(REMORA_LOSS_stream_gap));
    }
}

TEST_F(AssemblerTest, UnknownPositionsAreTrusted) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.positions_unknown().client(get).server(ok);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_END_COMPLETE, only().exchange.end);
}

TEST_F(AssemblerTest, AConnectionOlderThanWeAreIsTakenUpWhereItIs) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client_unseen(5000, false).server_unseen(700, false).client(get).server(ok);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_END_COMPLETE, only().exchange.end);
    restart({});
    Conversation opened{REMORA_ROLE_SERVER};  // but not one whose beginning we should have
    opened.open().client_unseen(5000, false).client(get).server(ok);
    opened.play(*assembler);
    EXPECT_TRUE(log.exchanges.empty());
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_stream_gap));
}

TEST_F(AssemblerTest, WhatIsNoProtocolOfOursIsLeftAlone) {
    for (const remora_role role : {REMORA_ROLE_CLIENT, REMORA_ROLE_SERVER}) {
        Conversation talk{role};
        talk.open()
            .client("SSH-2.0-OpenSSH_9.2\r\n")
            .server("SSH-2.0-x\r\n")
            .client(get)
            .server(ok);
        talk.play(*assembler);
    }
    Conversation greeting{REMORA_ROLE_CLIENT, 2};  // the server speaks first
    greeting.open(true).server("220 mail.example.org\r\n").client(get).server(ok);
    greeting.play(*assembler);
    EXPECT_TRUE(log.exchanges.empty());
    EXPECT_TRUE(log.losses.empty());
}

TEST_F(AssemblerTest, RedisIsForClientsOnly) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client("*1\r\n$4\r\nPING\r\n").server("+PONG\r\n");
    talk.play(*assembler);
    EXPECT_TRUE(log.exchanges.empty());
}

TEST_F(AssemblerTest, ABreachOfTheProtocolIsCounted) {
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client(get).server("what is this?\r\n\r\n").client(get);
    talk.play(*assembler);
    EXPECT_EQ(REMORA_END_UNFOLLOWED, only().exchange.end);
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_parser_gave_up));
}

TEST_F(AssemblerTest, TheEndOfAProcessEndsItsExchanges) {
    Conversation talk{REMORA_ROLE_SERVER, 1, 5};
    Conversation other{REMORA_ROLE_SERVER, 1, 6};
    talk.client(get).play(*assembler);
    other.client(get).play(*assembler);
    remora_process process{};
    process.image = 5;
    assembler->on_process(process);
    EXPECT_TRUE(log.exchanges.empty());
    process.end_ns = 2'000'000'000;
    process.states = REMORA_PROCESS_FORKED;  // a fork of the image ended, not the image
    assembler->on_process(process);
    EXPECT_TRUE(log.exchanges.empty());
    process.states = 0;
    assembler->on_process(process);
    EXPECT_EQ(REMORA_END_PROCESS, only().exchange.end);
    EXPECT_EQ(5u, only().exchange.image);
    EXPECT_EQ(2'000'000'000u, only().exchange.end_ns);
    EXPECT_EQ("pPxP", log.order);  // its exchange, then its last word
    EXPECT_EQ(1u, assembler->connections());
}

TEST_F(AssemblerTest, AnExchangeThatRestsIsReportedOnce) {
    AssemblerOptions options;
    options.idle_limit_ns = 1'000'000'000;
    restart(options);
    Conversation resting{REMORA_ROLE_SERVER, 1};
    resting.open().client(get).play(*assembler);
    Conversation later{REMORA_ROLE_SERVER, 2};
    later.after(5s).open().client(get).server(ok).close().play(*assembler);
    ASSERT_EQ(2u, log.exchanges.size());
    const auto& idle =
        log.exchanges[0].exchange.connection == 1 ? log.exchanges[0] : log.exchanges[1];
    EXPECT_EQ(REMORA_END_IDLE, idle.exchange.end);
    EXPECT_EQ(1'000'000'000u, idle.exchange.end_ns);
    remora_close_record close{};
    close.header.image = close.connection = 1;
    close.header.time_ns = 7'000'000'000;
    close.end = REMORA_END_PEER;
    assembler->on_close(close);
    EXPECT_EQ(2u, log.exchanges.size());
}

TEST_F(AssemblerTest, HoldsNoMoreThanItMay) {
    AssemblerOptions options;
    options.connections_max = 10;
    options.exchanges_max = 20;
    restart(options);
    for (uint64_t i = 0; i < 30; ++i)
        Conversation{REMORA_ROLE_SERVER, i}.open().client(get).play(*assembler);
    EXPECT_EQ(10u, assembler->connections());
    EXPECT_GE(log.lost(REMORA_LOSS_connection_table_full), 20u);
    std::string many;
    for (int i = 0; i < 11; ++i) many += get;
    Conversation deep{REMORA_ROLE_SERVER, 0};
    deep.positions_unknown().client(many).play(*assembler);
    assembler->stop();
    EXPECT_EQ(20u, log.exchanges.size());
    EXPECT_EQ(0u, assembler->connections());
}

TEST_F(AssemblerTest, TooManyRequestsInFlightEndTheStory) {
    std::string many;
    for (int i = 0; i < 600; ++i) many += get;
    Conversation talk{REMORA_ROLE_SERVER};
    talk.client(many).play(*assembler);
    EXPECT_EQ(Connection::open_max, log.exchanges.size());
    EXPECT_EQ(1u, log.lost(REMORA_LOSS_pipeline_too_deep));
}

TEST_F(AssemblerTest, NothingThatComesHurts) {
    const uint64_t seed = std::random_device{}();
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
    std::mt19937_64 random{seed};
    AssemblerOptions options;
    options.connections_max = 50;
    options.exchanges_max = 100;
    restart(options);
    const std::string pieces[] = {get,
                                  ok,
                                  "HTTP/1.1 100 Continue\r\n\r\n",
                                  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                                  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
                                  "*1\r\n$4\r\nPING\r\n",
                                  "+PONG\r\n",
                                  "GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                                  "\r\n",
                                  std::string(300, '\0')};
    for (int i = 0; i < 100'000; ++i) {
        const uint64_t name = random() % 60;
        remora_data_record data{};
        data.header.image = 1;
        data.header.time_ns = random() % 5 == 0 ? random() : static_cast<uint64_t>(i) * 1000;
        data.connection = name;
        data.direction = static_cast<uint8_t>(random() % 2);
        data.position = random() % 8 == 0 ? random() : UINT64_MAX;
        const std::string& piece = pieces[random() % std::size(pieces)];
        const size_t size = random() % 4 == 0 ? random() % (piece.size() + 1) : piece.size();
        data.size = static_cast<uint32_t>(size);
        data.length = data.size + (random() % 16 == 0 ? static_cast<uint32_t>(random()) : 0);
        if (data.length < data.size) data.length = data.size;
        assembler->on_data(data, {piece.data(), size});
        if (random() % 20 == 0) {
            remora_close_record close{};
            close.header = data.header;
            close.connection = name;
            close.end = static_cast<uint8_t>(REMORA_END_LOCAL + random() % 3);
            assembler->on_close(close);
        }
        ASSERT_LE(assembler->connections(), 50u);
    }
    assembler->stop();
    EXPECT_GT(log.exchanges.size(), 100u);
    for (const LoggedExchange& logged : log.exchanges)
        ASSERT_GE(logged.exchange.end_ns, logged.exchange.start_ns);
}

}  // namespace
}  // namespace remora
