// SPDX-License-Identifier: Apache-2.0
// What goes on the wire, and what the program is told, wherever the kernel cuts a call.
#include "preload/egress.h"

#include <string>
#include <vector>

#include "preload/rewrite.h"
#include "preload/test_connection.h"

namespace remora::shim {
namespace {

const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr size_t line_size = 70;

// Takes the inserted lines out of what was sent, one before each blank line of a head.
std::string without_lines(std::string wire, std::vector<std::string>& values) {
    const std::string name = "traceparent: 00-";
    for (size_t at = 0; (at = wire.find(name, at)) != std::string::npos;) {
        values.push_back(wire.substr(at + 13, 55));
        EXPECT_EQ(wire.substr(at + line_size - 2, 2), "\r\n");
        EXPECT_TRUE(wire.substr(at + line_size, 1) == "\r" ||
                    wire.substr(at + line_size, 1) == "\n")
            << "not before a blank line: " << wire.substr(at, 100);
        wire.erase(at, line_size);
    }
    return wire;
}

class EgressTest : public WithFakeKernel {
protected:
    // Sends `text` with the kernel taking `takes` bytes of each call, and compares.
    void expect_inserted(const std::string& text, std::deque<size_t> takes, size_t lines,
                         const std::string& expected) {
        free_finished(session);
        kernel.wire.clear();
        kernel.takes = std::move(takes);
        TestConnection connection(true);
        connection.send_all(text);
        std::vector<std::string> values;
        ASSERT_EQ(without_lines(kernel.wire, values), expected);
        ASSERT_EQ(values.size(), lines);
        for (const std::string& value : values) EXPECT_EQ(value.substr(52), "-03");
    }
};

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(EgressTest, InsertsALineBeforeTheBlankLine) {
    TestConnection connection(true);
    EXPECT_EQ(connection.send(get), static_cast<ssize_t>(get.size()));
    EXPECT_EQ(kernel.wire.substr(0, get.size() - 2), get.substr(0, get.size() - 2));
    EXPECT_EQ(kernel.wire.substr(get.size() - 2, 16), "traceparent: 00-");
    EXPECT_EQ(kernel.wire.size(), get.size() + line_size);
}

TEST_F(EgressTest, WhereverTheKernelCutsTheCall) {
    for (size_t first = 0; first <= get.size() + line_size; ++first)
        for (size_t second = 0; second <= 80; second += 1 + second / 4)
            expect_inserted(get, {first, second}, 1, get);
}

TEST_F(EgressTest, ByteByByte) {
    expect_inserted(get, std::deque<size_t>(200, 1), 1, get);
    TestConnection connection(true);
    kernel.wire.clear();
    for (const char c : get) EXPECT_EQ(connection.send(std::string(1, c)), 1);
    std::vector<std::string> values;
    EXPECT_EQ(without_lines(kernel.wire, values), get);
    EXPECT_EQ(values.size(), 1u);
}

TEST_F(EgressTest, PipelinedWithABodyBetweenThem) {
    const std::string noise = "\r\n\r\nGET /n HTTP/1.1\r\n\r\n";
    const std::string text = get +
                             "POST /p HTTP/1.1\r\nContent-Length: " + std::to_string(noise.size()) +
                             "\r\n\r\n" + noise + get;
    for (size_t cut = 0; cut <= text.size() + 3 * line_size; ++cut)
        expect_inserted(text, {cut, cut % 7}, 3, text);
}

TEST_F(EgressTest, InvalidLinesGoWhereverTheCutIs) {
    const std::string value = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    const std::string text = "GET / HTTP/1.1\r\nTraceparent: " + value +
                             "\r\nA: b\r\ntracestate: x=1\r\n" + "traceparent: " + value +
                             "\r\nHost: a\r\n\r\n";
    const std::string expected = "GET / HTTP/1.1\r\nA: b\r\nHost: a\r\n\r\n";
    for (size_t cut = 0; cut <= expected.size() + line_size; ++cut)
        expect_inserted(text, {cut, cut % 5, 1}, 1, expected);
}

TEST_F(EgressTest, ATracestateWithoutATraceparentGoes) {
    expect_inserted("GET / HTTP/1.1\r\ntracestate: x=1\r\n\r\n", {}, 1, "GET / HTTP/1.1\r\n\r\n");
}

TEST_F(EgressTest, ForeignLinesStay) {
    const std::string text =
        "GET / HTTP/1.1\r\ntraceparent: "
        "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n\r\n";
    TestConnection connection(true);
    connection.send_all(text);
    EXPECT_EQ(kernel.wire, text);
}

TEST_F(EgressTest, LinesThatWereCutStayAndAreCounted) {
    const std::string text = "GET / HTTP/1.1\r\ntraceparent: nonsense\r\nA: b\r\n\r\n";
    TestConnection connection(true);
    connection.send_all(text.substr(0, 24));
    connection.send_all(text.substr(24));
    EXPECT_EQ(kernel.wire, text);
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_split), 1u);
}

// More heads in one call than there are places for edits.
TEST_F(EgressTest, WhatFindsNoPlaceIsCounted) {
    std::string text;
    for (int i = 0; i < 30; ++i) text += get;
    TestConnection connection(true);
    connection.send_all(text);
    std::vector<std::string> values;
    EXPECT_EQ(without_lines(kernel.wire, values), text);
    EXPECT_EQ(values.size(), size_t{EditList::max_edits});
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_no_room), 30 - EditList::max_edits);
}

TEST_F(EgressTest, SeveralBuffersAreOneStream) {
    for (size_t cut = 0; cut <= get.size(); ++cut) {
        kernel.wire.clear();
        TestConnection connection(true);
        std::string first = get.substr(0, cut), second = get.substr(cut);
        const iovec parts[3] = {
            {first.data(), first.size()}, {nullptr, 0}, {second.data(), second.size()}};
        EXPECT_EQ(connection.send(parts, 3), static_cast<ssize_t>(get.size()));
        std::vector<std::string> values;
        EXPECT_EQ(without_lines(kernel.wire, values), get);
        EXPECT_EQ(values.size(), 1u);
    }
}

TEST_F(EgressTest, TheIdOfALiveServerSpanBecomesTheClientSpans) {
    TestConnection server(false);
    const std::string trace = "0123456789abcdef0123456789abcdef";
    kernel.incoming = "GET / HTTP/1.1\r\ntraceparent: 00-" + trace + "-0123456789abcdef-01\r\n\r\n";
    const std::string told = server.receive(1000);
    const std::string span = told.substr(told.find(trace) + 33, 16);
    ASSERT_NE(span, "0123456789abcdef");
    const std::string text =
        "GET / HTTP/1.1\r\ntraceparent: 00-" + trace + "-" + span + "-01\r\n\r\n";
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        kernel.wire.clear();
        kernel.takes = {cut};
        TestConnection client(true);
        client.send_all(text);
        ASSERT_EQ(kernel.wire.size(), text.size());
        const size_t at = text.find(span);
        const std::string sent = kernel.wire.substr(at, 16);
        EXPECT_EQ(kernel.wire.substr(0, at) + span + kernel.wire.substr(at + 16), text);
        // A cut in the line keeps a program from sending it whole again: then it stays, counted.
        if (cut <= text.find("traceparent")) {
            EXPECT_NE(sent, span);
        }
    }
}

TEST_F(EgressTest, CountsWhatTheKernelTookNotWhatWasTried) {
    const std::string body(1000, 'b');
    const std::string post = "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n";
    for (size_t cut = 0; cut <= post.size() + body.size() + get.size() + 2 * line_size; cut += 13) {
        free_finished(session);
        kernel.takes = {cut, 1, 0, 3};
        TestConnection connection(true);
        connection.send_all(post.substr(0, 20));
        connection.send_all(post.substr(20) + body + get);
        kernel.incoming = answer + answer;
        (void)connection.receive(1000);
        const auto done = finished(session);
        ASSERT_EQ(done.size(), 2u);
        EXPECT_EQ(done[0].request_bytes, post.size() + body.size());
        EXPECT_EQ(done[0].request_body_bytes, body.size());
        EXPECT_EQ(done[1].request_bytes, get.size());
        EXPECT_EQ(done[1].response_body_bytes, 2u);
        EXPECT_EQ(done[0].end, REMORA_END_COMPLETE);
        EXPECT_GT(done[0].request_size, 10u) << "the head's text is lost";
    }
}

// A reader thread sees the answer while the writer is still in its call, which then turns out to
// have been cut. Meanwhile somebody else's request begins, who must not get the same object.
TEST_F(EgressTest, TheAnswerMayOvertakeTheCall) {
    const std::string post = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde";
    for (size_t cut = 5; cut <= 2 * (post.size() + line_size); ++cut) {
        free_finished(session);
        TestConnection other(false);
        TestConnection connection(true);
        bool once = false;
        kernel.takes = {cut};
        kernel.while_sending = [&] {
            if (once) return;
            once = true;
            kernel.incoming = answer;
            EXPECT_EQ(connection.receive(1000), answer);
            EXPECT_TRUE(finished(session).empty()) << "ended under the writer's feet, cut " << cut;
            kernel.incoming = get;
            (void)other.receive(1000);
        };
        connection.send_all(post + post);
        kernel.while_sending = nullptr;
        kernel.incoming = answer;
        EXPECT_EQ(connection.receive(1000), answer);
        other.send_all(answer);
        unsigned clients = 0, servers = 0;
        for (const remora_exchange& exchange : finished(session)) {
            const bool client = exchange.role == REMORA_ROLE_CLIENT;
            ++(client ? clients : servers);
            EXPECT_EQ(exchange.request_bytes, client ? post.size() : get.size()) << "cut " << cut;
            EXPECT_EQ(exchange.end, REMORA_END_COMPLETE) << "cut " << cut;
        }
        ASSERT_EQ(clients, 2u) << "cut " << cut;
        ASSERT_EQ(servers, 1u) << "cut " << cut;
    }
}

TEST_F(EgressTest, ARefusedCallLeavesNothingBehind) {
    TestConnection connection(true);
    for (int i = 0; i < 200; ++i) {
        kernel.takes = {0};
        EXPECT_EQ(connection.send(get), -1);
        EXPECT_EQ(errno, EAGAIN);
    }
    EXPECT_EQ(session.lane(0).head.free, REMORA_LANE_ALL_FREE) << "slots were kept";
    connection.send_all(get);
    kernel.incoming = answer;
    (void)connection.receive(1000);
    EXPECT_EQ(finished(session).size(), 1u);
    EXPECT_EQ(session.lost(REMORA_LOSS_ring_full), 0u);
}

TEST_F(EgressTest, ARestIsSentBeforeAFile) {
    TestConnection connection(true);
    kernel.takes = {get.size() + 10};  // the insertion is cut
    ASSERT_EQ(connection.send("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"), 38 - 2);
    const std::string before = kernel.wire;
    struct File {
        FakeKernel& kernel;
    } file{kernel};
    const OutgoingFile out{connection.fd(), &file, [](void* given) -> ssize_t {
                               static_cast<File*>(given)->kernel.wire += "FILE";
                               return 4;
                           }};
    EXPECT_EQ(transmit_file(connection.conn(), out), 4);
    const std::string added = kernel.wire.substr(before.size());
    EXPECT_EQ(added.substr(added.size() - 6), "\r\nFILE") << added;
}

TEST_F(EgressTest, OtherProtocolsPassUntouched) {
    for (const std::string text :
         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n", "GET /\r\n\r\n"}) {
        kernel.wire.clear();
        TestConnection connection(true);
        connection.send_all(text);
        connection.send_all(get);
        EXPECT_EQ(kernel.wire, text + get);
    }
}

}  // namespace
}  // namespace remora::shim
