// SPDX-License-Identifier: Apache-2.0
// What a program is handed, in buffers of every size: its peer's bytes but for permitted edits,
// never beyond the buffer, never less than the kernel had.
#include "preload/ingress.h"

#include <sys/mman.h>

#include <string>

#include "preload/test_connection.h"

namespace remora::shim {
namespace {

const std::string trace(32, 'a');
const std::string parent = "00-" + trace + "-0123456789abcdef-01";
const std::string body(400, 'b');

std::string post(const std::string& lines) {
    return "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n" + lines + "\r\n" + body;
}

std::string without_line(std::string text, bool& found) {
    const size_t at = text.find("traceparent: 00-");
    found = at != std::string::npos;
    if (found) text.erase(at, 70);
    return text;
}

class IngressTest : public WithFakeKernel {
protected:
    // Reads all of `text` with buffers of `size`, checking each call.
    std::string read_all(const std::string& text, size_t size) {
        constexpr size_t guard = 100;
        free_finished(session);
        kernel.incoming = text;
        TestConnection connection(false);
        std::string seen;
        while (!kernel.incoming.empty()) {
            std::string buffer(size + guard, '#');
            const ssize_t n = connection.receive(buffer.data(), size);
            EXPECT_GT(n, 0);
            if (n <= 0) break;
            EXPECT_LE(static_cast<size_t>(n), size);
            EXPECT_EQ(buffer.substr(size), std::string(guard, '#')) << "written beyond the buffer";
            // A short read means to an edge-triggered loop that there is no more.
            EXPECT_TRUE(static_cast<size_t>(n) == size || kernel.incoming.empty())
                << n << " of " << size << " although there is more";
            seen.append(buffer, 0, static_cast<size_t>(n));
        }
        return seen;
    }
};

TEST_F(IngressTest, InsertsWhereThereIsRoomAndNeverElse) {
    const std::string text = post("");
    unsigned inserted = 0;
    for (size_t size = 1; size <= 700; ++size) {
        bool found = false;
        ASSERT_EQ(without_line(read_all(text, size), found), text) << "buffers of " << size;
        inserted += found;
    }
    EXPECT_GT(inserted, 300u);
}

TEST_F(IngressTest, ReplacesInPlaceWhereTheLineIsInOneCall) {
    const std::string text = post("Traceparent:  " + parent + " \r\nA: b\r\n");
    const size_t at = text.find("0123456789abcdef-01");
    unsigned replaced = 0;
    for (size_t size = 1; size <= 700; ++size) {
        std::string seen = read_all(text, size);
        ASSERT_EQ(seen.size(), text.size());
        replaced += seen.substr(at, 16) != text.substr(at, 16);
        seen.replace(at, 19, text, at, 19);
        ASSERT_EQ(seen, text) << "buffers of " << size;
    }
    EXPECT_GT(replaced, 500u);
}

TEST_F(IngressTest, TakesInvalidLinesOut) {
    const std::string kept = post("A: b\r\n");
    const std::string text = post("traceparent: " + parent + "\r\nA: b\r\ntraceparent: " + parent +
                                  "\r\ntracestate: x=1\r\n");
    unsigned rewritten = 0;
    for (size_t size = 1; size <= 900; ++size) {
        const std::string seen = read_all(text, size);
        if (seen == text) continue;
        ++rewritten;
        bool found = false;
        ASSERT_EQ(without_line(seen, found), kept) << "buffers of " << size;
        EXPECT_TRUE(found);
    }
    EXPECT_GT(rewritten, 500u);
}

TEST_F(IngressTest, AnswersAHigherVersionWithOurs) {
    const std::string text = post("traceparent: cc-" + trace + "-0123456789abcdef-01-and-more\r\n");
    const std::string seen = read_all(text, 4096);
    EXPECT_EQ(seen.size(), text.size() - 9);
    EXPECT_NE(seen.find("traceparent: 00-" + trace), std::string::npos);
}

TEST_F(IngressTest, DropsAListThatBreaksTheRules) {
    const std::string seen =
        read_all(post("traceparent: " + parent + "\r\ntracestate: a=1,a=2\r\n"), 4096);
    EXPECT_EQ(seen.find("tracestate"), std::string::npos);
    EXPECT_NE(seen.find("traceparent: 00-" + trace), std::string::npos);
}

TEST_F(IngressTest, PipelinedHeadsInOneBuffer) {
    const std::string text = post("") + post("traceparent: " + parent + "\r\n") + post("");
    const std::string seen = read_all(text, 65'536);
    EXPECT_EQ(seen.size(), text.size() + 140);
    for (size_t size = 280; size < 1600; size += 7) {
        const std::string some = read_all(text, size);
        EXPECT_TRUE((some.size() - text.size()) % 70 == 0) << size;
    }
}

TEST_F(IngressTest, SeveralBuffersKeepTheirSizes) {
    const std::string text = post("traceparent: " + parent + "\r\n");
    const size_t at = text.find("0123456789abcdef-01");
    for (size_t cut = 0; cut < text.size(); ++cut) {
        free_finished(session);
        kernel.incoming = text;
        TestConnection connection(false);
        std::string first(cut, '#'), second(2000, '#');
        const iovec parts[3] = {{first.data(), cut}, {nullptr, 0}, {second.data(), second.size()}};
        ASSERT_EQ(connection.receive(parts, 3), static_cast<ssize_t>(text.size()));
        std::string seen = first + second.substr(0, text.size() - cut);
        // A line that lies in two of them is left alone, and counted.
        const bool in_one = cut <= text.find("traceparent") || cut > text.find("-01\r\n") + 4;
        EXPECT_EQ(seen.substr(at, 16) != text.substr(at, 16), in_one) << "cut " << cut;
        seen.replace(at, 19, text, at, 19);
        ASSERT_EQ(seen, text) << "cut " << cut;
    }
}

TEST_F(IngressTest, WhatWasPeekedAtIsWhatIsRead) {
    const std::string text = post("") + post("traceparent: " + parent + "\r\n");
    for (size_t peeked = 1; peeked < text.size(); peeked += 7) {
        for (const size_t size : {100, 279, 333, 450, 500, 700}) {
            free_finished(session);
            kernel.incoming = text;
            TestConnection connection(false);
            const std::string seen = connection.receive(peeked, MSG_PEEK);
            std::string all;
            while (!kernel.incoming.empty()) all += connection.receive(size);
            ASSERT_EQ(all.substr(0, peeked), seen) << "buffers of " << size;
        }
    }
}

// Who asked how much there is and reads that waits for exactly so much: neither more nor less.
TEST_F(IngressTest, AReadOfWhatWasCountedDrains) {
    const std::string invalid = "traceparent: " + parent + "\r\ntraceparent: " + parent + "\r\n";
    for (const std::string& lines : {std::string(), invalid}) {
        const std::string text = post(lines) + post(lines);
        TestConnection connection(false);
        kernel.incoming = text;
        connection.conn().counted = static_cast<uint32_t>(text.size());
        EXPECT_EQ(connection.receive(text.size()), text);
        EXPECT_TRUE(kernel.incoming.empty());
        EXPECT_EQ(connection.conn().counted, 0u);
    }
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_no_room), 4u);
}

// recvmsg() may bring descriptors along, so nothing is fetched behind it: a full buffer stays full.
TEST_F(IngressTest, AFullBufferThatCanNotBeToppedUpStaysFull) {
    const std::string line = "traceparent: " + parent + "\r\n";
    const std::string text = post(line + line + line);
    for (size_t size = 1; size <= text.size(); ++size) {
        free_finished(session);
        kernel.incoming = text;
        TestConnection connection(false);
        std::string buffer(size, '#');
        const iovec part{buffer.data(), size};
        ASSERT_EQ(connection.receive(&part, 1), static_cast<ssize_t>(size)) << "buffer of " << size;
    }
}

TEST_F(IngressTest, AnExchangeEndsWithItsAnswerNotWithTheNextRequest) {
    TestConnection connection(false);
    kernel.incoming = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    (void)connection.receive(1000);
    connection.send_all("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(finished(session).size(), 1u);
}

// The number has become a file's without our noticing: a short read would be its end.
TEST_F(IngressTest, AFileUnderAnOldNumberIsReadWhole) {
    TestConnection connection(false);
    kernel.incoming = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    (void)connection.receive(1000);
    real::resolve_all();
    const int file = ::memfd_create("file", 0);
    const std::string text = post("") + post("");
    ASSERT_EQ(::pwrite(file, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(::dup2(file, connection.fd()), connection.fd());
    std::string buffer(600, '\0');
    const iovec part{buffer.data(), buffer.size()};
    Incoming in{connection.fd(), &part, 1};
    in.may_limit = true;
    in.original = [](const Incoming& i, size_t limit) {
        return ::read(i.fd, i.parts->iov_base, limit);
    };
    EXPECT_EQ(receive(connection.conn(), in), 600);
    EXPECT_EQ(buffer, text.substr(0, 600));
    ::close(file);
}

TEST_F(IngressTest, ASpanIsWhatTheHeadAndTheAnswerSay) {
    TestConnection connection(false);
    kernel.incoming = post("traceparent: " + parent + "\r\ntracestate: k=v\r\n");
    (void)connection.receive(4096);
    connection.send_all("HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nabc");
    const auto done = finished(session);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].role, REMORA_ROLE_SERVER);
    EXPECT_EQ(done[0].join, REMORA_JOIN_REMOTE);
    EXPECT_EQ(done[0].parent_id[0], 0x01);
    EXPECT_EQ(done[0].request_body_bytes, 400u);
    EXPECT_EQ(done[0].response_body_bytes, 3u);
    EXPECT_EQ(done[0].tracestate_size, 3u);
    EXPECT_EQ(done[0].end, REMORA_END_COMPLETE);
    EXPECT_TRUE(done[0].marks & REMORA_MARK_REWRITTEN);
}

TEST_F(IngressTest, TheEndOfTheStreamEndsWhatIsOpen) {
    TestConnection connection(true);
    connection.send_all("GET / HTTP/1.1\r\n\r\n");
    kernel.incoming = "HTTP/1.1 200 OK\r\n\r\nto the end";
    (void)connection.receive(1000);
    EXPECT_TRUE(finished(session).empty());
    const iovec part{&kernel, 1};
    Incoming in{connection.fd(), &part, 1};
    in.original = [](const Incoming&, size_t) -> ssize_t { return 0; };
    EXPECT_EQ(receive(connection.conn(), in), 0);
    const auto done = finished(session);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].end, REMORA_END_COMPLETE);
    EXPECT_EQ(done[0].response_body_bytes, 10u);
}

TEST_F(IngressTest, AFailedReadEndsAnAnswerWithItsError) {
    TestConnection connection(true);
    connection.send_all("GET / HTTP/1.1\r\n\r\n");
    const iovec part{&kernel, 1};
    Incoming in{connection.fd(), &part, 1};
    in.original = [](const Incoming&, size_t) -> ssize_t {
        errno = ECONNRESET;
        return -1;
    };
    EXPECT_EQ(receive(connection.conn(), in), -1);
    EXPECT_EQ(errno, ECONNRESET);
    const auto done = finished(session);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].end, REMORA_END_ERROR);
    EXPECT_EQ(done[0].error_number, ECONNRESET);
}

}  // namespace
}  // namespace remora::shim
