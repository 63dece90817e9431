// SPDX-License-Identifier: Apache-2.0
// What leaves the process: the filtered head, and no secret, wherever the stream is cut.
#include "agent/protocol/http/test_http.h"

namespace remora::protocol::http {
namespace {

std::string target(const std::string& text, const std::string& method = "GET") {
    const std::string out = captured(request(method + " " + text + " HTTP/1.1\r\n\r\n"));
    const std::string before = (out.rfind("cut", 0) == 0 ? "cut " : "capture ") + method + " ";
    const std::string after = " HTTP/1.1\\n";
    EXPECT_EQ(out.substr(0, before.size()), before) << out;
    EXPECT_EQ(out.substr(out.size() - after.size()), after) << out;
    return out.substr(before.size(), out.size() - before.size() - after.size());
}

TEST(Redaction, OrdinaryTargetsStay) {
    for (const char* text :
         {"/", "*", "/a/b;c=d?e=f&g", "/?", "/??", "/?&&=&", "/a?b=c=d?e&f=", "http://example.com",
          "http://example.com/", "https://example.com:8443/a?b=c", "http://[::1]:80/", "//double",
          "/user:word@host/", "/?url=http://user:word@host/", "/#f", "urn:isbn:1", "http:/one"})
        EXPECT_EQ(target(text), text);
    EXPECT_EQ(target("example.com:443", "CONNECT"), "example.com:443");
    EXPECT_EQ(target("[2001:db8::1]:443", "CONNECT"), "[2001:db8::1]:443");
}

TEST(Redaction, UsersAreTakenOut) {
    const std::string user = "REDACTED:REDACTED@";
    EXPECT_EQ(target("http://user:secret@host/a"), "http://" + user + "host/a");
    EXPECT_EQ(target("http://user@host"), "http://" + user + "host");
    EXPECT_EQ(target("http://@host/"), "http://" + user + "host/");
    EXPECT_EQ(target("http://a@b:c@host/"), "http://" + user + "host/");
    EXPECT_EQ(target("ftp://u:p@host:21?x=y"), "ftp://" + user + "host:21?x=y");
    EXPECT_EQ(target("user:secret@host:443", "CONNECT"), user + "host:443");
    EXPECT_EQ(target("user:secret@host/a"), user + "host/a");
    EXPECT_EQ(target("http://" + std::string(500, 'u') + ":" + std::string(500, 'p') + "@host/a"),
              "http://" + user + "host/a");
}

TEST(Redaction, UsersOfUrlsInsideThePathToo) {
    const std::string user = "REDACTED:REDACTED@";
    EXPECT_EQ(target("/fetch/http://u:secret@host/a"), "/fetch/http://" + user + "host/a");
    EXPECT_EQ(target("/fetch/http://u:secret@host"), "/fetch/http://" + user + "host");
    EXPECT_EQ(target("http://proxy/x/https://u@host/a/ftp://v@other?x=y"),
              "http://proxy/x/https://" + user + "host/a/ftp://" + user + "other?x=y");
    EXPECT_EQ(target("/fetch/http://host/a@b"), "/fetch/http://host/a@b");
    EXPECT_EQ(target("/a://b/c:/d://"), "/a://b/c:/d://");
}

TEST(Redaction, SecretQueryValuesAreTakenOut) {
    for (const std::string key : {"AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature",
                                  "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"}) {
        EXPECT_EQ(target("/?" + key + "=secret"), "/?" + key + "=REDACTED");
        EXPECT_EQ(target("/?a=b&" + key + "=sec?r=et&c=d"), "/?a=b&" + key + "=REDACTED&c=d");
        EXPECT_EQ(target("/?" + key + "=&" + key + "=x"),
                  "/?" + key + "=REDACTED&" + key + "=REDACTED");
        EXPECT_EQ(target("http://h?" + key + "=secret"), "http://h?" + key + "=REDACTED");
        EXPECT_EQ(target("/?" + key), "/?" + key);
        // As the conventions have it: the very key, and only as a key.
        EXPECT_EQ(target("/?x" + key + "=v"), "/?x" + key + "=v");
        EXPECT_EQ(target("/?" + key + "x=v"), "/?" + key + "x=v");
        EXPECT_EQ(target("/?v=" + key), "/?v=" + key);
        EXPECT_EQ(target("/" + key + "=v"), "/" + key + "=v");
    }
    EXPECT_EQ(target("/?SIG=v&Sig=v&signature=v"), "/?SIG=v&Sig=v&signature=v");
    EXPECT_EQ(target("/?" + std::string(100, 'k') + "=v"), "/?" + std::string(100, 'k') + "=v");
}

// An authority that is too long to hold back is left out, never let through unseen.
TEST(Redaction, LongAuthorities) {
    EXPECT_EQ(target("http://" + std::string(56, 'h') + "/a"),
              "http://" + std::string(56, 'h') + "/a");
    EXPECT_EQ(target("http://" + std::string(57, 'h') + "/a"), "http:///a");
    EXPECT_EQ(target("http://u@" + std::string(57, 'h') + "/a"), "http://REDACTED:REDACTED@/a");
    EXPECT_EQ(target(std::string(57, 's') + "://user:secret@host/a?sig=secret"), "");
    EXPECT_EQ(target(std::string(54, 's') + "://user:secret@host/a?sig=secret"), "");
    EXPECT_EQ(target(std::string(53, 's') + "://user:secret@host/a"),
              std::string(53, 's') + "://REDACTED:REDACTED@host/a");
}

TEST(CaptureOfTargets, IsCutAt700Bytes) {
    const std::string full = "/" + std::string(699, 'p');
    EXPECT_EQ(target(full), full);
    EXPECT_EQ(target(full + "p"), full);
    EXPECT_EQ(target(full + "?sig=secret&a=b"), full);
    const std::string out =
        captured(request("GET " + full + "pp HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    EXPECT_EQ(out, "cut GET " + full + " HTTP/1.1\\nhost: example.com\\n");
}

TEST(CaptureOfFields, IsAnAllowList) {
    EXPECT_EQ(
        captured(request("GET / HTTP/1.1\r\n"
                         "HOST:\t example.com \r\n"
                         "user-AGENT: a b\r\n"
                         "Forwarded: for=1\r\n"
                         "X-Forwarded-For: 2\r\n"
                         "X-Forwarded-Host: 3\r\n"
                         "X-Forwarded-Port: 4\r\n"
                         "X-Forwarded-Proto: 5\r\n"
                         "Cookie: secret\r\n"
                         "Authorization: Basic secret\r\n"
                         "X-Api-Key: secret\r\n"
                         "Hostx: secret\r\n"
                         "\r\n")),
        "capture GET / HTTP/1.1\\nhost: example.com \\nuser-agent: a b\\nforwarded: for=1\\n"
        "x-forwarded-for: 2\\nx-forwarded-host: 3\\nx-forwarded-port: 4\\nx-forwarded-proto: 5\\n");
}

TEST(CaptureOfFields, ValuesAreCutAt256Bytes) {
    const std::string agent(256, 'a');
    EXPECT_EQ(captured(request("GET / HTTP/1.1\r\nUser-Agent: " + agent + "\r\n\r\n")),
              "capture GET / HTTP/1.1\\nuser-agent: " + agent + "\\n");
    EXPECT_EQ(captured(request("GET / HTTP/1.1\r\nUser-Agent: " + agent + "a\r\nHost: h\r\n\r\n")),
              "cut GET / HTTP/1.1\\nuser-agent: " + agent + "\\nhost: h\\n");
}

TEST(CaptureOfFields, WithoutWhatIsFoldedOrBroken) {
    EXPECT_EQ(
        captured(request("GET / HTTP/1.1\r\nHost: a\r\n .example\r\nUser-Agent: b\rc\r\n\r\n")),
        "capture GET / HTTP/1.1\\nhost: a\\nuser-agent: b\\n");
}

TEST(CaptureOfFields, NotOfTrailersOrResponses) {
    EXPECT_EQ(captured(request(
                  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: t\r\n\r\n")),
              "capture POST / HTTP/1.1\\n");
    EXPECT_EQ(
        captured(response("HTTP/1.1 404 secret reason\r\nHost: x\r\nContent-Length: 0\r\n\r\n")),
        "capture HTTP/1.1 404\\n");
}

TEST(Capture, CanBeDoneWithout) {
    const std::string head = "GET http://u:p@h/?sig=1 HTTP/1.1\r\nHost: h\r\n\r\n";
    ParserState state;
    Message message;
    Capture capture;
    size_t at = 0;
    for (const Verdict expected :
         {Verdict::begin, Verdict::insert, Verdict::head, Verdict::complete}) {
        Parse call{state, message, capture, MessageKind::request};
        const Step step = protocol.parse(call, {head.data() + at, head.size() - at});
        EXPECT_EQ(step.verdict, expected);
        at += step.consumed;
    }
    EXPECT_EQ(capture.size, 0);
}

}  // namespace
}  // namespace remora::protocol::http
