// SPDX-License-Identifier: Apache-2.0
// Recorded conversations and what must come of them: tests/data/recordings/<name>.recording is
// replayed through the assembler, and its exchanges, as text, are compared with <name>.golden.
//
// After a wanted change: REMORA_WRITE_GOLDEN=1 connection_test writes both anew; look at the
// difference before it is committed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/connection/connection_assembler.h"
#include "agent/ingest/recorder.h"
#include "agent/ingest/replay_source.h"
#include "tests/support/conversation.h"
#include "tests/support/record_log.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using test::Conversation;
using test::RecordLog;

const std::filesystem::path folder =
    std::filesystem::path(REMORA_SOURCE_DIR) / "tests/data/recordings";

std::string quoted(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n')
            out += "\\n";
        else
            out += c >= ' ' && c < 127 ? std::string(1, c)
                                       : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return out;
}

// Ids are drawn from a fixed seed; times count from the conversation's beginning.
std::string text_of(const test::LoggedExchange& logged) {
    const remora_exchange& e = logged.exchange;
    const auto hex = [](const uint8_t* bytes, size_t count) {
        std::string text(2 * count, '0');
        write_hex(bytes, count, text.data());
        return text;
    };
    const auto time = [](uint64_t ns) {
        return ns == 0 ? "-" : fmt::format("{}us", (ns - 1'000'000'000) / 1000);
    };
    return fmt::format(
        "{} image {} connection {} #{} {}\n"
        "  trace {} span {} parent {} flags {} join {}\n"
        "  start {} request end {} response start {} end {} how {} errno {} marks {:#x} batch {}\n"
        "  request {} B body {} B: {}\n"
        "  response {} B body {} B: {}\n"
        "  tracestate: {}\n",
        e.protocol, e.image, e.connection, e.sequence,
        e.role == REMORA_ROLE_CLIENT ? "client" : "server", hex(e.trace_id, 16), hex(e.span_id, 8),
        hex(e.parent_id, 8), e.trace_flags, e.join, time(e.start_ns), time(e.request_end_ns),
        time(e.response_start_ns), time(e.end_ns), e.end, e.error_number, e.marks, e.batch,
        e.request_bytes, e.request_body_bytes, quoted(logged.request), e.response_bytes,
        e.response_body_bytes, quoted(logged.response), quoted(logged.tracestate));
}

std::string replayed(const std::filesystem::path& recording) {
    AssemblerOptions options;
    options.seed[0] = 42;
    RecordLog log;
    ConnectionAssembler assembler{options, log};
    auto source = ReplaySource::open(recording.string());
    if (!source) return source.error().text();
    auto counts = source->run(assembler);
    if (!counts || counts->refused != 0 || counts->cut) return "the recording is damaged";
    assembler.stop();
    std::string text;
    for (const auto& exchange : log.exchanges) text += text_of(exchange);
    for (const auto& [reason, count] : log.losses)
        text += fmt::format("loss {} x {}\n", static_cast<int>(reason), count);
    return text;
}

struct Story {
    const char* name;
    std::vector<Conversation> conversations;
};

std::vector<Story> stories() {
    const char* trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03\r\n";
    Conversation server{REMORA_ROLE_SERVER};
    server.open()
        .after(1ms)
        .client(std::string("POST /cart?page=2 HTTP/1.1\r\nHost: shop.example\r\n") + trace +
                "tracestate: vendor=1\r\nAuthorization: Basic c2VjcmV0\r\n"
                "Content-Length: 11\r\n\r\nhello")
        .after(1ms)
        .client(" world")
        .after(5ms)
        .server("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .after(2ms)
        .server("4\r\nlast\r\n0\r\n\r\n")
        .client("GET /gone HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        .after(3ms)
        .close(REMORA_END_PEER);
    Conversation client{REMORA_ROLE_CLIENT, 2};
    client.open(true)
        .after(2ms)
        .client(
            "GET /items HTTP/1.1\r\nHost: stock.example:81\r\n\r\n"
            "HEAD /items HTTP/1.1\r\nHost: stock.example:81\r\n\r\n")
        .after(1ms)
        .server("HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n")
        .server_unseen(40000)
        .after(1ms)
        .server("HTTP/1.1 404 Not Found\r\nContent-Length: 512\r\n\r\n")
        .close();
    Conversation redis{REMORA_ROLE_CLIENT, 3, 2};
    redis.open(true)
        .client("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$6\r\nsecret\r\n*2\r\n$4\r\nINCR\r\n$3\r\nkey\r\n")
        .after(1ms)
        .server("+OK\r\n-WRONGTYPE not a number\r\n")
        .after(1ms)
        .client("*1\r\n$4\r\nPING\r\n")
        .after(1ms)
        .close(REMORA_END_ERROR, 104);
    Conversation tunnel{REMORA_ROLE_SERVER, 4};
    tunnel
        .client(
            "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .after(1ms)
        .server(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
            "Upgrade: websocket\r\n\r\n\x81\x02hi")
        .after(1ms)
        .close();
    Conversation broken{REMORA_ROLE_SERVER, 5};
    broken.client("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .server("HTTP/1.1 204 No Content\r\n\r\n")
        .client("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        .server_unseen(7, false)
        .server("1 200 OK\r\n\r\n");
    return {{"http-server", {server}},
            {"http-client", {client}},
            {"redis", {redis}},
            {"tunnel-and-gap", {tunnel, broken}}};
}

void write_recording(const Story& story) {
    RecordLog nowhere;
    auto recorder = Recorder::create((folder / (std::string(story.name) + ".recording")), nowhere);
    ASSERT_TRUE(recorder) << recorder.error().text();
    (*recorder)->on_clock({1'000'000'000, 1'700'000'000'000'000'000});
    for (const Conversation& conversation : story.conversations) conversation.play(**recorder);
}

TEST(Golden, RecordingsGiveWhatTheyGave) {
    const bool write = std::getenv("REMORA_WRITE_GOLDEN") != nullptr;
    for (const Story& story : stories()) {
        const std::filesystem::path golden = folder / (std::string(story.name) + ".golden");
        if (write) {
            std::filesystem::create_directories(folder);
            write_recording(story);
        }
        const std::string found = replayed(folder / (std::string(story.name) + ".recording"));
        if (write) std::ofstream(golden) << found;
        std::ifstream in(golden);
        const std::string expected{std::istreambuf_iterator<char>(in), {}};
        EXPECT_FALSE(expected.empty()) << golden;
        EXPECT_EQ(expected, found) << story.name;
    }
}

}  // namespace
}  // namespace remora
