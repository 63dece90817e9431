// SPDX-License-Identifier: Apache-2.0
// The protocol object: detection, start lines, the insert point, pieces of fields, limits.
#include "agent/protocol/http/state.h"
#include "agent/protocol/http/test_http.h"
#include "bpf/abi/loss.h"

namespace remora::protocol::http {
namespace {

Detection detect(const std::string& bytes) { return protocol.detect({bytes.data(), bytes.size()}); }

// One parser, driven by hand.
struct Hand {
    MessageKind kind = MessageKind::request;
    ParserState state = {};
    Message message = {};
    Capture capture = {};
    FieldPiece piece = {};

    Step parse(const std::string& input) {
        Parse call{state, message, capture, kind};
        const Step step = protocol.parse(call, {input.data(), input.size()});
        piece = call.field;
        // A piece points into the input, which goes away: only its offset is kept.
        value_offset =
            static_cast<size_t>(piece.value.data - reinterpret_cast<const uint8_t*>(input.data()));
        value_size = piece.value.size;
        return step;
    }
    // Parses until there is nothing more to say; returns the last verdict before.
    Verdict feed(std::string input) {
        Verdict last = Verdict::partial;
        while (true) {
            const Step step = parse(input);
            input.erase(0, step.consumed);
            if (step.verdict == Verdict::partial) return last;
            last = step.verdict;
            if (last == Verdict::invalid || last == Verdict::ignored) return last;
        }
    }
    size_t value_offset = 0;
    size_t value_size = 0;
};

TEST(Detect, Requests) {
    for (const char* yes :
         {"GET ", "GET /", "POST /x HTTP/1.1\r\n", "M-SEARCH * HTTP/1.1\r\n", "\r\n\r\nGET /",
          "VERSION-CONTROL /", "PURGE / HTTP/1.0\nHost: x\n\n", "X_Y /"})
        EXPECT_EQ(detect(yes), Detection::yes) << yes;
    for (const char* maybe : {"", "G", "GET", "PRI", "\r\n", "ABCDEFGHIJKLMNOPQRST"})
        EXPECT_EQ(detect(maybe), Detection::maybe) << maybe;
    for (const char* no : {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                           "PRI ",
                           "get / HTTP/1.1",
                           "GET / HTTP/2.0\r\n",
                           "GET /\r\n",
                           "OPTIONS rtsp://a/b RTSP/1.0\r\n",
                           "INVITE sip:a@b SIP/2.0\r\n",
                           "EHLO a\r\n",
                           "set a 0 0 1\r\n",
                           " GET /",
                           "*1\r\n$4\r\nPING\r\n",
                           "SSH-2.0-OpenSSH_9.2\r\n",
                           "HTTP/1.1 200 OK\r\n",
                           "ABCDEFGHIJKLMNOPQRSTU",
                           "\x16\x03\x01\x02",
                           "GET\t/",
                           "<xml>",
                           "{\"a\":1}",
                           "NICK a\r\n",
                           "RESPMOD icap://a/b ICAP/1.0\r\n"})
        EXPECT_EQ(detect(no), Detection::no) << no;
}

TEST(Detect, DecidesAfter24Bytes) {
    EXPECT_EQ(detect(std::string(24, 'A')), Detection::no);
    EXPECT_EQ(detect("\r\n\r\n\r\n\r\n" + std::string(16, 'A')), Detection::no);
    EXPECT_EQ(detect(std::string(24, '\n')), Detection::no);
    EXPECT_EQ(detect(std::string(5, '\n')), Detection::maybe);
}

TEST(RequestLine, OthersAreNotHttp) {
    for (const char* line : {"OPTIONS rtsp://a/b RTSP/1.0",
                             "INVITE sip:a@b SIP/2.0",
                             "PRI * HTTP/2.0",
                             "GET /",
                             "GET / HTTP/0.9",
                             "GET / HTTP/11",
                             "GET / http/1.1",
                             "GET / HTTP/1.x",
                             "GET / HTTP/1.10",
                             "GET / HTTP/1.",
                             "GET / HTTP/1.1 ",
                             "GET / HTTP/1.1 x",
                             "GET /a b HTTP/1.1",
                             "GET",
                             "GET ",
                             "GET  HTTP/1.1",
                             "GET\t/ HTTP/1.1",
                             "ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1",
                             "G@T / HTTP/1.1",
                             "GET /\x01 HTTP/1.1",
                             "GET /\x7f/ HTTP/1.1 x",
                             "GET /\tHTTP/1.1"})
        EXPECT_EQ(summary(request(line + std::string("\r\n\r\n"))), "invalid") << line;
    EXPECT_EQ(summary(request("\x01")), "invalid");
    EXPECT_EQ(summary(request("GET / HTTP/1.1\rX\r\n\r\n")), "invalid");
}

TEST(RequestLine, Accepted) {
    const char* good = "head; complete body=0; finish partial";
    const char* left_alone = "head untouchable; complete body=0; finish partial";
    EXPECT_EQ(summary(request("GET / HTTP/1.0\r\n\r\n")), good);
    EXPECT_EQ(summary(request("get /\xc3\xa9\"<> HTTP/1.1\r\n\r\n")), good);
    EXPECT_EQ(summary(request("\r\n\nGET / HTTP/1.1\n\n\r\n\r\n")), good);
    EXPECT_EQ(summary(request("ABCDEFGHIJKLMNOPQRST / HTTP/1.1\r\n\r\n")), good);
    EXPECT_EQ(summary(request("GET  / HTTP/1.1\r\n\r\n")), left_alone);
    EXPECT_EQ(summary(request("GET /  HTTP/1.1\r\n\r\n")), left_alone);
    EXPECT_EQ(summary(request("GET / HTTP/1.2\r\n\r\n")), left_alone);
}

TEST(StatusLine, OthersAreNotHttp) {
    for (const char* line :
         {"HTTP/2 200 OK", "HTTP/0.9 200 OK", "HTTP/1.1", "HTTP/1.1 20", "HTTP/1.1 2000 OK",
          "HTTP/1.1  200 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK", "ICY 200 OK", "HTTP/1.1\t200",
          "SSH-2.0", "HTTP/1.1 200OK", "HTTP/1.1 -10"})
        EXPECT_EQ(summary(response(line + std::string("\r\n\r\n"))), "invalid") << line;
}

TEST(InsertPoint, StandsBeforeTheBlankLine) {
    Hand hand;
    EXPECT_EQ(hand.feed("GET / HTTP/1.1\r\nA: b\r\n"), Verdict::begin);
    Step step = hand.parse("\r\n");
    EXPECT_EQ(step.verdict, Verdict::insert);
    EXPECT_EQ(step.consumed, 0u);
    EXPECT_EQ(hand.message.head_bytes, 22u);
    EXPECT_EQ(hand.message.fields, 1);
    step = hand.parse("\r\n");
    EXPECT_EQ(step.verdict, Verdict::head);
    EXPECT_EQ(step.consumed, 1u);
    EXPECT_EQ(hand.message.head_bytes, 24u);
    EXPECT_EQ(hand.parse("").verdict, Verdict::partial);
    step = hand.parse("\nGET");
    EXPECT_EQ(step.verdict, Verdict::complete);
    EXPECT_EQ(step.consumed, 1u);
    EXPECT_EQ(hand.message.head_bytes, 24u);
}

TEST(InsertPoint, TheFirstByteOfTheBlankLineIsEnough) {
    Hand hand;
    hand.feed("GET / HTTP/1.1\r\nA: b\r\n");
    EXPECT_EQ(hand.parse("\r").verdict, Verdict::insert);
    Step step = hand.parse("\r");
    EXPECT_EQ(step.verdict, Verdict::partial);  // said once
    EXPECT_EQ(step.consumed, 1u);
    EXPECT_EQ(hand.parse("\n").verdict, Verdict::head);
}

TEST(InsertPoint, IsNotToBeUsedWhereALineBeginsWithABareCr) {
    Hand hand;
    hand.feed("GET / HTTP/1.1\r\nA: b\r\n");
    EXPECT_EQ(hand.parse("\rX").verdict, Verdict::insert);
    EXPECT_TRUE(hand.message.untouchable);
    EXPECT_EQ(hand.parse("\rX").verdict, Verdict::invalid);
    EXPECT_EQ(hand.parse("\r\n").verdict, Verdict::invalid);  // and so for good
}

TEST(InsertPoint, KnowsWhatMustNotBeTouched) {
    Hand hand;
    std::string head = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    head.erase(0, hand.parse(head).consumed);
    EXPECT_EQ(hand.parse(head).verdict, Verdict::insert);
    EXPECT_TRUE(hand.message.untouchable);
}

TEST(Begin, ComesWithTheFirstByteAndResetsTheMessage) {
    Hand hand;
    hand.message.fields = 9;
    hand.message.untouchable = true;
    EXPECT_EQ(hand.parse("\r\n").verdict, Verdict::partial);
    const Step step = hand.parse("\nG");
    EXPECT_EQ(step.verdict, Verdict::begin);
    EXPECT_EQ(step.consumed, 1u);
    EXPECT_EQ(hand.message.fields, 0);
    EXPECT_FALSE(hand.message.untouchable);
}

TEST(Piece, OfAWholeLine) {
    Hand hand;
    std::string input = "GET / HTTP/1.1\r\ntracePARENT:  abc \r\nB: c\r\n";
    input.erase(0, hand.parse(input).consumed);
    const Step step = hand.parse(input);
    ASSERT_EQ(step.verdict, Verdict::field);
    EXPECT_EQ(hand.piece.field, PropagationField::traceparent);
    EXPECT_TRUE(hand.piece.begins);
    EXPECT_TRUE(hand.piece.ends);
    EXPECT_EQ(hand.piece.line_begin, 16u);
    EXPECT_EQ(hand.piece.line_end, 36u);
    EXPECT_EQ(step.consumed, 36u);
    EXPECT_EQ(hand.value_offset, 28u);
    EXPECT_EQ(hand.value_size, 6u);
}

TEST(Piece, OfALineThatIsCut) {
    Hand hand;
    hand.feed("GET / HTTP/1.1\r\nA: b\r\n");
    Step step = hand.parse("tracestate: a=");
    ASSERT_EQ(step.verdict, Verdict::field);
    EXPECT_EQ(step.consumed, 14u);
    EXPECT_TRUE(hand.piece.begins);
    EXPECT_FALSE(hand.piece.ends);
    EXPECT_EQ(hand.piece.line_begin, 0u);
    EXPECT_EQ(hand.piece.line_end, FieldPiece::nowhere);
    step = hand.parse("1\r");
    ASSERT_EQ(step.verdict, Verdict::field);
    EXPECT_FALSE(hand.piece.begins);
    EXPECT_FALSE(hand.piece.ends);
    EXPECT_EQ(hand.piece.line_begin, FieldPiece::nowhere);
    EXPECT_EQ(hand.value_size, 1u);
    step = hand.parse("\nA: b\r\n");
    ASSERT_EQ(step.verdict, Verdict::field);
    EXPECT_TRUE(hand.piece.ends);
    EXPECT_EQ(hand.piece.line_end, 1u);
    EXPECT_EQ(step.consumed, 1u);
}

TEST(Piece, OfALineWhoseNameIsCut) {
    Hand hand;
    hand.feed("GET / HTTP/1.1\r\nA: b\r\ntrace");
    const Step step = hand.parse("parent: abc\n");
    ASSERT_EQ(step.verdict, Verdict::field);
    EXPECT_TRUE(hand.piece.begins);
    EXPECT_TRUE(hand.piece.ends);
    EXPECT_EQ(hand.piece.line_begin, FieldPiece::nowhere);
    EXPECT_EQ(hand.piece.line_end, 12u);
}

TEST(Piece, OnlyOfRequestsAndOnlyOfHeads) {
    const std::string line = "traceparent: abc\r\n";
    EXPECT_EQ(summary(response("HTTP/1.1 204 x\r\n" + line + "\r\n")),
              "head; complete body=0; finish partial");
    EXPECT_EQ(summary(request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + line +
                              "\r\n")),
              "head; complete body=0; finish partial");
    EXPECT_EQ(summary(request("GET / HTTP/1.1\r\n" + line + "\r\n")),
              "field traceparent < abc>; head; complete body=0; finish partial");
}

TEST(HeadLimit, Is64KiB) {
    const std::string start = "GET / HTTP/1.1\r\nA: ";
    const auto head = [&](size_t size) {
        return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
    };
    EXPECT_EQ(summary(request(head(65536))), "head; complete body=0; finish partial");
    EXPECT_EQ(summary(request(head(65537))), "invalid");
    EXPECT_EQ(summary(request(head(200000))), "invalid");
    EXPECT_EQ(summary(request("GET /" + std::string(70000, 'x') + " HTTP/1.1\r\n\r\n")), "invalid");
    // The limit is a head's: not the connection's, nor that of bodies and trailers.
    std::string many;
    for (int i = 0; i < 3; ++i) many += head(40000);
    EXPECT_EQ(transcribe(request(many)).messages.size(), 3u);
    const std::string trailer = "T: " + std::string(100000, 'x') + "\r\n";
    EXPECT_EQ(transcribe(request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" +
                                 trailer + "\r\n"))
                  .messages.size(),
              1u);
}

TEST(Body, IsPassedOver) {
    Hand hand;
    hand.feed("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nab");
    EXPECT_EQ(protocol.body_left(hand.state), 8u);
    EXPECT_EQ(protocol.skip(hand.state, hand.message, 7), Verdict::partial);
    EXPECT_EQ(protocol.body_left(hand.state), 1u);
    EXPECT_EQ(protocol.skip(hand.state, hand.message, 1), Verdict::complete);
    EXPECT_EQ(hand.message.body_bytes, 10u);
    EXPECT_EQ(protocol.body_left(hand.state), 0u);
    EXPECT_EQ(hand.parse("GET").verdict, Verdict::begin);
}

TEST(Body, OfChunks) {
    Hand hand;
    hand.feed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(protocol.body_left(hand.state), 0u);
    hand.feed("4\r\n");
    EXPECT_EQ(protocol.body_left(hand.state), 4u);
    EXPECT_EQ(protocol.skip(hand.state, hand.message, 4), Verdict::partial);
    EXPECT_EQ(protocol.body_left(hand.state), 0u);
    EXPECT_EQ(hand.feed("\r\n0\r\n\r\n"), Verdict::complete);
    EXPECT_EQ(hand.message.body_bytes, 4u);
}

TEST(Body, UntilTheEnd) {
    Hand hand;
    hand.kind = MessageKind::response;
    hand.feed("HTTP/1.1 200 OK\r\n\r\nabc");
    EXPECT_EQ(protocol.body_left(hand.state), UINT64_MAX);
    EXPECT_EQ(protocol.skip(hand.state, hand.message, 1000), Verdict::partial);
    EXPECT_EQ(hand.message.body_bytes, 1003u);
    EXPECT_EQ(protocol.finish(hand.state, hand.message), Verdict::complete);
}

TEST(Finish, SaysWhatTheEndMeans) {
    const auto finish = [](const std::string& bytes, MessageKind kind = MessageKind::request) {
        Hand hand;
        hand.kind = kind;
        hand.feed(bytes);
        return protocol.finish(hand.state, hand.message);
    };
    EXPECT_EQ(finish(""), Verdict::partial);
    EXPECT_EQ(finish("\r\n"), Verdict::partial);
    EXPECT_EQ(finish("GET / HTTP/1.1\r\n\r\n"), Verdict::partial);
    EXPECT_EQ(finish("G"), Verdict::invalid);
    EXPECT_EQ(finish("GET / HTTP/1.1\r\n"), Verdict::invalid);
    EXPECT_EQ(finish("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n"), Verdict::invalid);
    EXPECT_EQ(finish("HTTP/1.1 101 x\r\n\r\n", MessageKind::response), Verdict::partial);
    // A caller that has not called again behind a head without a body.
    Hand hand;
    std::string head = "GET / HTTP/1.1\r\n\r\n";
    for (Step step{}; step.verdict != Verdict::head; head.erase(0, step.consumed))
        step = hand.parse(head);
    EXPECT_EQ(protocol.finish(hand.state, hand.message), Verdict::complete);
    EXPECT_EQ(protocol.finish(hand.state, hand.message), Verdict::partial);
}

TEST(WriteField, WholeLines) {
    char out[80];
    const auto write = [&](PropagationField field, ByteView value, size_t capacity) {
        const size_t size = protocol.write_field(field, value, out, capacity);
        return std::string(out, size);
    };
    EXPECT_EQ(write(PropagationField::traceparent, "00-a", 80), "traceparent: 00-a\r\n");
    EXPECT_EQ(write(PropagationField::tracestate, "a=1", 80), "tracestate: a=1\r\n");
    EXPECT_EQ(write(PropagationField::traceparent, "00-a", 19), "traceparent: 00-a\r\n");
    EXPECT_EQ(write(PropagationField::traceparent, "00-a", 18), "");
    EXPECT_EQ(write(PropagationField::traceparent, "00-a", 0), "");
    EXPECT_EQ(write(PropagationField::none, "00-a", 80), "");
}

TEST(RefuseInsert, NearLimits) {
    const auto refuse = [](uint32_t head_bytes, size_t extra, uint16_t fields, unsigned more) {
        Message message;
        message.head_bytes = head_bytes;
        message.fields = fields;
        return protocol.refuse_insert(message, extra, more);
    };
    EXPECT_EQ(refuse(500, 70, 5, 1), -1);
    for (const uint32_t limit : {4096u, 8192u, 16384u, 32768u, 65536u}) {
        EXPECT_EQ(refuse(limit - 256 - 70 - 2, 70, 5, 1), -1) << limit;
        EXPECT_EQ(refuse(limit - 256 - 70 - 1, 70, 5, 1), REMORA_LOSS_not_injected_limit) << limit;
        EXPECT_EQ(refuse(limit - 2, 70, 5, 1), REMORA_LOSS_not_injected_limit) << limit;
    }
    // A head that is beyond a limit already has met nobody who keeps it.
    EXPECT_EQ(refuse(4096 - 1, 70, 5, 1), -1);
    EXPECT_EQ(refuse(100, 8000, 5, 1), REMORA_LOSS_not_injected_limit);
    EXPECT_EQ(refuse(500, 70, 89, 1), -1);
    EXPECT_EQ(refuse(500, 70, 89, 2), REMORA_LOSS_not_injected_limit);
    EXPECT_EQ(refuse(500, 70, 90, 1), REMORA_LOSS_not_injected_limit);
    EXPECT_EQ(refuse(500, 70, UINT16_MAX, 1), REMORA_LOSS_not_injected_limit);
}

TEST(RefuseInsert, Untouchable) {
    Message message;
    message.untouchable = true;
    EXPECT_EQ(protocol.refuse_insert(message, 70, 1), REMORA_LOSS_not_injected_untouchable);
}

TEST(Fields, AreCountedAndDoNotWrap) {
    std::string head = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 16000; ++i) head += "a:\r\n";
    const test::Transcript transcript = transcribe(request(head + "\r\n"));
    ASSERT_EQ(transcript.messages.size(), 1u);
    EXPECT_EQ(transcript.messages[0].fields, 16000);
}

TEST(State, IsSmall) { EXPECT_LE(sizeof(State), ParserState::capacity); }

}  // namespace
}  // namespace remora::protocol::http
