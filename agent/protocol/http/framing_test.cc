// SPDX-License-Identifier: Apache-2.0
// Where messages end (RFC 9112, section 6), and which can't be followed or touched.
#include "agent/protocol/http/test_http.h"

namespace remora::protocol::http {
namespace {

struct Case {
    const char* what;
    test::Direction direction;
    const char* expected;
};

void check(const std::vector<Case>& cases) {
    for (const Case& c : cases) EXPECT_EQ(summary(c.direction), c.expected) << c.what;
}

std::string post(const std::string& fields, const std::string& rest = "") {
    return "POST / HTTP/1.1\r\n" + fields + "\r\n" + rest;
}
std::string answer(const std::string& status, const std::string& fields,
                   const std::string& rest = "") {
    return "HTTP/1.1 " + status + "\r\n" + fields + "\r\n" + rest;
}

constexpr const char* doubtful = "head untouchable; invalid";

TEST(Framing, ContentLengthOfRequests) {
    check({
        {"none", request(post("")), "head; complete body=0; finish partial"},
        {"zero", request(post("Content-Length: 0\r\n")), "head; complete body=0; finish partial"},
        {"five", request(post("CONTENT-length:5 \t\r\n", "hello")),
         "head; complete body=5; finish partial"},
        {"leading zeroes", request(post("Content-Length: 0005\r\n", "hello")),
         "head; complete body=5; finish partial"},
        {"cut short", request(post("Content-Length: 6\r\n", "hello")),
         "head; finish invalid body=5"},
        {"then another", request(post("Content-Length: 2\r\n", "ab" + post(""))),
         "head; complete body=2; head; complete body=0; finish partial"},
        {"twice the same", request(post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab")),
         "head untouchable; complete body=2; finish partial"},
        {"two lengths", request(post("Content-Length: 2\r\nContent-Length: 3\r\n")), doubtful},
        {"empty", request(post("Content-Length: \r\n")), doubtful},
        {"sign", request(post("Content-Length: +5\r\n")), doubtful},
        {"negative", request(post("Content-Length: -5\r\n")), doubtful},
        {"hexadecimal", request(post("Content-Length: 0x5\r\n")), doubtful},
        {"list", request(post("Content-Length: 5, 5\r\n")), doubtful},
        {"two words", request(post("Content-Length: 5 5\r\n")), doubtful},
        {"fraction", request(post("Content-Length: 5.0\r\n")), doubtful},
        {"2^63 - 1", request(post("Content-Length: 9223372036854775807\r\n")),
         "head; finish invalid body=0"},
        {"2^63", request(post("Content-Length: 9223372036854775808\r\n")), doubtful},
        {"2^64 + 5", request(post("Content-Length: 18446744073709551621\r\n")), doubtful},
        {"huge", request(post("Content-Length: " + std::string(500, '9') + "\r\n")), doubtful},
        {"space before the colon", request(post("Content-Length : 5\r\n")), doubtful},
        {"folded", request(post("Content-Length:\r\n 5\r\n")), doubtful},
        {"folded behind", request(post("Content-Length: 5\r\n 0\r\n")), doubtful},
    });
}

TEST(Framing, TransferCodingOfRequests) {
    const std::string body = "3\r\nabc\r\n0\r\n\r\n";
    const char* good = "head; complete body=3; finish partial";
    check({
        {"chunked", request(post("Transfer-Encoding: chunked\r\n", body)), good},
        {"case", request(post("transfer-ENCODING:\t CHUNKED \r\n", body)), good},
        {"after gzip", request(post("Transfer-Encoding: gzip , chunked\r\n", body)), good},
        {"on two lines",
         request(post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", body)), good},
        {"empty elements", request(post("Transfer-Encoding: ,,chunked,\r\n", body)), good},
        {"with a length", request(post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")),
         doubtful},
        {"after a length", request(post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")),
         doubtful},
        {"not last", request(post("Transfer-Encoding: chunked, gzip\r\n")), doubtful},
        {"twice", request(post("Transfer-Encoding: chunked, chunked\r\n")), doubtful},
        {"twice on two lines",
         request(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")), doubtful},
        {"missing", request(post("Transfer-Encoding: gzip\r\n")), doubtful},
        {"unknown", request(post("Transfer-Encoding: xchunked\r\n")), doubtful},
        {"unknown before", request(post("Transfer-Encoding: x, chunked\r\n")), doubtful},
        {"identity", request(post("Transfer-Encoding: identity\r\n")), doubtful},
        {"parameter", request(post("Transfer-Encoding: chunked;q=1\r\n")), doubtful},
        {"quoted", request(post("Transfer-Encoding: \"chunked\"\r\n")), doubtful},
        {"vertical tab", request(post("Transfer-Encoding: \vchunked\r\n")), doubtful},
        {"two words", request(post("Transfer-Encoding: chunked gzip\r\n")), doubtful},
        {"a word in two", request(post("Transfer-Encoding: chun ked\r\n")), doubtful},
        {"empty", request(post("Transfer-Encoding:\r\n")), doubtful},
        {"long", request(post("Transfer-Encoding: " + std::string(100, 'x') + "\r\n")), doubtful},
        {"HTTP/1.0", request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), doubtful},
        {"space before the colon", request(post("Transfer-Encoding : chunked\r\n")), doubtful},
        {"folded", request(post("Transfer-Encoding: chunked\r\n x\r\n")), doubtful},
    });
}

TEST(Framing, Responses) {
    const std::string length = "Content-Length: 3\r\n";
    const std::string chunked = "Transfer-Encoding: chunked\r\n";
    const char* none = "head; complete body=0; finish partial";
    check({
        {"length", response(answer("200 OK", length, "abc")),
         "head; complete body=3; finish partial"},
        {"chunked", response(answer("200 OK", chunked, "3\r\nabc\r\n0\r\n\r\n")),
         "head; complete body=3; finish partial"},
        {"until close", response(answer("200 OK", "", "abc")), "head; finish complete body=3"},
        {"empty until close", response(answer("200 OK", "")), "head; finish complete body=0"},
        {"unknown end", response(answer("200 OK", "Transfer-Encoding: gzip\r\n", "abc")),
         "head; finish complete body=3"},
        {"identity", response(answer("200 OK", "Transfer-Encoding: identity\r\n", "abc")),
         "head; finish complete body=3"},
        {"204", response(answer("204 No Content", length)), none},
        {"304", response(answer("304 Not Modified", chunked)), none},
        {"HEAD", response(answer("200 OK", length), {1}), none},
        {"HEAD, chunked", response(answer("200 OK", chunked), {1}), none},
        {"error", response(answer("500 Oops", "Content-Length: 0\r\n")),
         "head error; complete body=0; finish partial"},
        {"both", response(answer("200 OK", length + chunked)), doubtful},
        {"both, to HEAD", response(answer("200 OK", length + chunked), {1}),
         "head untouchable; complete body=0; finish partial"},
        {"two lengths", response(answer("200 OK", length + "Content-Length: 4\r\n")), doubtful},
        {"old and chunked", response("HTTP/1.0 200 OK\r\n" + chunked + "\r\n"), doubtful},
        {"no reason", response("HTTP/1.1 200\r\n" + length + "\r\nabc"),
         "head; complete body=3; finish partial"},
        {"to nothing", response(answer("408 Request Timeout", "Content-Length: 0\r\n"), {}),
         "head push; complete body=0; finish partial"},
    });
}

TEST(Framing, InterimResponses) {
    check({
        {"100",
         response(answer("100 Continue", "") + answer("200 OK", "Content-Length: 1\r\n", "x")),
         "head interim; complete body=0; head; complete body=1; finish partial"},
        {"103 does not use the hint up",
         response(
             answer("103 Early Hints", "Link: x\r\n") + answer("200 OK", "Content-Length: 1\r\n"),
             {1}),
         "head interim; complete body=0; head; complete body=0; finish partial"},
    });
}

TEST(Framing, Switches) {
    check({
        {"CONNECT", request("CONNECT a:1 HTTP/1.1\r\n\r\n\x16\x03"),
         "head hint=2 may_switch; complete body=0; held"},
        {"CONNECT with a body", request("CONNECT a:1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n"),
         "head hint=2 untouchable may_switch; invalid"},
        {"Upgrade", request(post("Upgrade: h2c\r\nContent-Length: 2\r\n", "ab")),
         "head may_switch; complete body=2; held"},
        {"HEAD", request("HEAD / HTTP/1.1\r\n\r\n"),
         "head hint=1; complete body=0; finish partial"},
        {"101", response(answer("101 Switching Protocols", "Upgrade: x\r\n", "HTTP/1.1 200 OK")),
         "head switched; ignored"},
        {"101 with a bad line", response(answer("101 Switching Protocols", "bad\r\n")),
         "head untouchable switched; ignored"},
        {"2xx to CONNECT", response(answer("200 OK", "Content-Length: 9\r\n", "abc"), {2}),
         "head switched; ignored"},
        {"407 to CONNECT", response(answer("407 No", "Content-Length: 2\r\n", "ab"), {2}),
         "head; complete body=2; finish partial"},
        {"space before Upgrade's colon", request(post("Upgrade : h2c\r\n")), doubtful},
    });
}

TEST(Framing, Chunks) {
    const auto chunks = [](const std::string& body) {
        return request(post("Transfer-Encoding: chunked\r\n", body));
    };
    check({
        {"upper case", chunks("A\r\n0123456789\r\n0\r\n\r\n"),
         "head; complete body=10; finish partial"},
        {"zeroes", chunks("0003\r\nabc\r\n000\r\n\r\n"), "head; complete body=3; finish partial"},
        {"extensions", chunks("3;a;b=c;d=\"e;\"\r\nabc\r\n0;x\r\n\r\n"),
         "head; complete body=3; finish partial"},
        {"blank behind the size", chunks("3 \r\nabc\r\n0\t\r\n\r\n"),
         "head; complete body=3; finish partial"},
        {"words behind the size", chunks("3 a\r\nabc\r\n0\r\n\r\n"), "head; invalid"},
        {"blank before an extension", chunks("3 ;a\r\nabc\r\n0\r\n\r\n"),
         "head; complete body=3; finish partial"},
        {"trailers", chunks("0\r\nA: b\r\nContent-Length: 5\r\n\r\n"),
         "head; complete body=0; finish partial"},
        {"trailers with bare LF", chunks("0\r\nA: b\n\n"), "head; complete body=0; finish partial"},
        {"no size", chunks("\r\n"), "head; invalid"},
        {"sign", chunks("-3\r\n"), "head; invalid"},
        {"prefix", chunks("0x3\r\n"), "head; invalid"},
        {"blank before the size", chunks(" 3\r\n"), "head; invalid"},
        {"bare LF behind the size", chunks("3\nabc\r\n0\r\n\r\n"), "head; invalid"},
        {"bare LF in an extension", chunks("3;a\nabc\r\n0\r\n\r\n"), "head; invalid"},
        {"CR in an extension", chunks("3;a\rb\r\n"), "head; invalid"},
        {"NUL in an extension", chunks(std::string("3;a\0b\r\n", 7)), "head; invalid"},
        {"longer than said", chunks("3\r\nabcd\r\n"), "head; invalid"},
        {"bare LF behind the data", chunks("3\r\nabc\n0\r\n\r\n"), "head; invalid"},
        {"16 digits", chunks("7fffffffffffffff\r\n"), "head; finish invalid body=0"},
        {"overflow", chunks("8000000000000000\r\n"), "head; invalid"},
        {"overflow to 3", chunks("10000000000000003\r\nabc\r\n"), "head; invalid"},
        {"trailer without a colon", chunks("0\r\nGET / HTTP/1.1\r\n\r\n"), "head; invalid"},
        {"folded trailer", chunks("0\r\nA: b\r\n c\r\n\r\n"), "head; invalid"},
        {"cut in the trailers", chunks("0\r\nA: b\r\n"), "head; finish invalid body=0"},
    });
}

TEST(Framing, FieldLines) {
    const char* untouched = "head untouchable; complete body=0; finish partial";
    check({
        {"folded", request(post("A: b\r\n c\r\n")), untouched},
        {"folded with a tab", request(post("A: b\r\n\tContent-Length: 5\r\n")), untouched},
        {"folded first line", request(post(" A: b\r\n")), doubtful},
        {"folded first line of a response", response(answer("204 No", " A: b\r\n")), doubtful},
        {"space before the colon", request(post("A : b\r\n")), untouched},
        {"no colon", request(post("A\r\n")), doubtful},
        {"no name", request(post(": b\r\n")), doubtful},
        {"words before the colon", request(post("A b: c\r\n")), doubtful},
        {"control in the name", request(post("A\x01: c\r\n")), doubtful},
        {"bracket in the name", request(post("A[0]: c\r\n")), doubtful},
        {"NUL in the value", request(post(std::string("A: b\0c\r\n", 8))), doubtful},
        {"bare CR in the value", request(post("A: b\rContent-Length: 5\r\n")), doubtful},
        {"two CRs", request(post("A: b\r\r\n")), doubtful},
        {"bare CR at a line's start", request(post("\rA: b\r\n")), "invalid"},
        {"latin 1", request(post("A: \xe9\xff\x80\r\n")), "head; complete body=0; finish partial"},
        {"control in the value", request(post("A: b\x01\x7f\tc\r\n")),
         "head; complete body=0; finish partial"},
        {"empty value", request(post("A:\r\nB: \r\n")), "head; complete body=0; finish partial"},
        {"all token characters", request(post("!#$%&'*+-.^_`|~09azAZ: b\r\n")),
         "head; complete body=0; finish partial"},
        {"long name", request(post(std::string(300, 'n') + ": b\r\n")),
         "head; complete body=0; finish partial"},
        {"CR in the reason", response(answer("204 a\rb", "")), doubtful},
    });
}

TEST(Framing, SignedRequestsAreNotTouched) {
    const char* untouched = "head untouchable; complete body=0; finish partial";
    const char* touched = "head; complete body=0; finish partial";
    check({
        {"AWS 4", request(post("Authorization: AWS4-HMAC-SHA256 Credential=x\r\n")), untouched},
        {"AWS 4 asymmetric", request(post("authorization:AWS4-ECDSA-P256-SHA256 x\r\n")),
         untouched},
        {"HTTP signatures draft", request(post("Authorization: Signature keyId=x\r\n")), untouched},
        {"its bare name", request(post("Authorization:  signature\r\n")), untouched},
        {"message signatures", request(post("Signature: sig1=:x:\r\n")), untouched},
        {"their input", request(post("signature-input: sig1=()\r\n")), untouched},
        {"Amazon's field", request(post("X-Amz-Signature: x\r\n")), untouched},
        {"Basic", request(post("Authorization: Basic AWS4-\r\n")), touched},
        {"Bearer", request(post("Authorization: Bearer x\r\n")), touched},
        {"another scheme", request(post("Authorization: SignatureX y\r\n")), touched},
        {"AWS 2", request(post("Authorization: AWS x:y\r\n")), touched},
        {"empty", request(post("Authorization:\r\n")), touched},
    });
}

}  // namespace
}  // namespace remora::protocol::http
