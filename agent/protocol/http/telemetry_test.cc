// SPDX-License-Identifier: Apache-2.0
// Which requests count as telemetry, and the capture of fields that the user named; both however
// the bytes are cut.
#include "agent/protocol/http/test_http.h"

namespace remora::protocol::http {
namespace {

bool telemetry(const std::string& line, const std::string& fields) {
    return summary(
               request(line + " HTTP/1.1\r\nHost: c\r\n" + fields + "Content-Length: 0\r\n\r\n"))
               .find(" telemetry") != std::string::npos;
}

constexpr const char* protobuf = "Content-Type: application/x-protobuf\r\n";
constexpr const char* json = "content-type:  application/json; charset=utf-8\r\n";
constexpr const char* sdk = "User-Agent: OTel-OTLP-Exporter-Python/1.24.0\r\n";
constexpr const char* prometheus = "User-Agent: Prometheus/2.45.0\r\n";

TEST(Telemetry, ExportsAreKnown) {
    EXPECT_TRUE(telemetry("POST /v1/traces", protobuf));
    EXPECT_TRUE(telemetry("POST /v1/traces", json));
    EXPECT_TRUE(telemetry("POST /v1/metrics", protobuf));
    EXPECT_TRUE(telemetry("POST /v1/logs", protobuf));
    EXPECT_TRUE(telemetry("POST /v1/logs", std::string(sdk) + json));
    EXPECT_TRUE(telemetry("POST /v1/logs", "user-agent: OTel OTLP Exporter Go/1.30.0\r\n"));
    EXPECT_TRUE(telemetry("POST /prefix/v1/traces?token=x", protobuf));
    EXPECT_TRUE(telemetry("POST http://collector:4318/v1/traces", protobuf));
    EXPECT_TRUE(telemetry("POST /api/v2/spans", json));
    EXPECT_TRUE(telemetry("POST /api/traces?format=jaeger.thrift",
                          "Content-Type: application/vnd.apache.thrift.binary\r\n"));
    EXPECT_TRUE(telemetry("PUT /v0.4/traces", "Content-Type: application/msgpack\r\n"));
    EXPECT_TRUE(telemetry("GET /metrics", prometheus));
}

TEST(Telemetry, APathAloneProvesNothing) {
    EXPECT_FALSE(telemetry("POST /v1/traces", ""));
    EXPECT_FALSE(telemetry("GET /v1/traces", protobuf));
    EXPECT_FALSE(telemetry("POST /v1/logs", json));
    EXPECT_FALSE(telemetry("POST /v1/traces/7", protobuf));
    EXPECT_FALSE(telemetry("POST /xv1/traces", protobuf));
    EXPECT_FALSE(telemetry("POST /upload?to=/v1/traces", protobuf));
    EXPECT_FALSE(telemetry("POST /orders", std::string(sdk) + protobuf));
    EXPECT_FALSE(telemetry("GET /api/traces", json));
    EXPECT_FALSE(telemetry("GET /metrics", "User-Agent: curl/8\r\n"));
    EXPECT_FALSE(telemetry("POST /metrics", prometheus));
    EXPECT_FALSE(telemetry("GET /", prometheus));
}

TEST(Telemetry, IsForgottenByTheNextRequest) {
    const std::string both = summary(request(
        std::string("POST /v1/traces HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n") + protobuf +
        "\r\nPOST /orders HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n" + protobuf + "\r\n"));
    EXPECT_EQ(both.find(" telemetry"), both.rfind(" telemetry")) << both;
}

class NamedFieldsTest : public testing::Test {
protected:
    void name(const std::string& text, uint8_t where) {
        remora_named_field field{};
        field.size = static_cast<uint8_t>(text.size());
        field.where = where;
        memcpy(field.name, text.data(), text.size());
        list_.push_back(field);
    }
    std::string kept(test::Direction direction, uint8_t where) {
        const NamedFields named =
            named_fields_of(list_.data(), static_cast<uint32_t>(list_.size()), where);
        direction.named = &named;
        return captured(direction);
    }
    std::vector<remora_named_field> list_;
};

TEST_F(NamedFieldsTest, AreCapturedAndNothingElseIs) {
    name("x-tenant", REMORA_NAMED_SERVER_REQUEST);
    name("x-other", REMORA_NAMED_CLIENT_REQUEST);
    const std::string head =
        "GET / HTTP/1.1\r\nX-TENANT: \t seven\r\nCookie: secret\r\nX-Other: o\r\nHost: h\r\n"
        "Authorization: Basic secret\r\nx-tenant:eight \r\nX-Tenants: no\r\n\r\n";
    EXPECT_EQ(kept(request(head), REMORA_NAMED_SERVER_REQUEST),
              "capture GET / HTTP/1.1\\nx-tenant: seven\\nhost: h\\nx-tenant: eight \\n");
    EXPECT_EQ(kept(request(head), REMORA_NAMED_CLIENT_REQUEST),
              "capture GET / HTTP/1.1\\nx-other: o\\nhost: h\\n");
    EXPECT_EQ(kept(request(head), REMORA_NAMED_SERVER_RESPONSE),
              "capture GET / HTTP/1.1\\nhost: h\\n");
}

TEST_F(NamedFieldsTest, MayMeanSomethingElseToo) {
    for (const char* field : {"authorization", "content-length", "transfer-encoding", "traceparent",
                              "content-type", "host", "upgrade", "cookie"})
        name(field, REMORA_NAMED_SERVER_REQUEST);
    EXPECT_EQ(
        kept(request(
                 "POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length:  3\r\n"
                 "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
                 "Content-Type: text/plain\r\nCookie: a=b\r\n\r\nabc"),
             REMORA_NAMED_SERVER_REQUEST),
        "capture POST / HTTP/1.1\\nhost: h\\nauthorization: Bearer x\\ncontent-length: 3\\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\\n"
        "content-type: text/plain\\ncookie: a=b\\n");
    EXPECT_EQ(kept(request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                           "Cookie: trailer\r\n\r\n"),
                   REMORA_NAMED_SERVER_REQUEST),
              "capture POST / HTTP/1.1\\ntransfer-encoding: chunked\\n");
}

TEST_F(NamedFieldsTest, OfResponsesToo) {
    name("x-cache", REMORA_NAMED_CLIENT_RESPONSE);
    EXPECT_EQ(kept(response("HTTP/1.1 200 OK\r\nServer: s\r\nX-Cache: HIT\r\nSet-Cookie: no\r\n"
                            "Content-Length: 0\r\n\r\n"),
                   REMORA_NAMED_CLIENT_RESPONSE),
              "capture HTTP/1.1 200\\nx-cache: HIT\\n");
}

TEST_F(NamedFieldsTest, FoldedAndBrokenLinesEndThem) {
    name("x-tenant", REMORA_NAMED_SERVER_REQUEST);
    EXPECT_EQ(kept(request("GET / HTTP/1.1\r\nX-Tenant: a\r\n b\r\nx-tenant: c\rd\r\n\r\n"),
                   REMORA_NAMED_SERVER_REQUEST),
              "capture GET / HTTP/1.1\\nx-tenant: a\\nx-tenant: c\\n");
    const std::string longest(256, 'v');
    EXPECT_EQ(kept(request("GET / HTTP/1.1\r\nx-tenant: " + longest + "w\r\nHost: h\r\n\r\n"),
                   REMORA_NAMED_SERVER_REQUEST),
              "cut GET / HTTP/1.1\\nx-tenant: " + longest + "\\nhost: h\\n");
}

TEST(CaptureOfHosts, WithoutTheirUsers) {
    const auto host = [](const std::string& value) {
        return captured(request("GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n")).substr(30);
    };
    const std::string label(50, 'a'), name = label + "." + label + ".example";
    EXPECT_EQ(host("h.example:80"), "h.example:80\\n");
    EXPECT_EQ(host("user:secret@h:80"), "REDACTED:REDACTED@h:80\\n");
    EXPECT_EQ(host("a@b@h"), "REDACTED:REDACTED@h\\n");
    EXPECT_EQ(host(name), name + "\\n");
    EXPECT_EQ(host(name + ":8443"), name + ":8443\\n");
    for (const std::string& bad :
         {"user:" + label + label + "@h", name + ":secret@h", name + ":1@h", name + "@h"}) {
        const std::string kept = captured(request("GET / HTTP/1.1\r\nHost: " + bad + "\r\n\r\n"));
        EXPECT_EQ(kept.rfind("cut ", 0), 0u) << kept;
        EXPECT_EQ(kept.find("secret"), std::string::npos) << kept;
        EXPECT_EQ(kept.find("user"), std::string::npos) << kept;
    }
    EXPECT_EQ(captured(request("GET / HTTP/1.1\r\nX-Forwarded-Host: u:p@h\r\n\r\n")),
              "capture GET / HTTP/1.1\\nx-forwarded-host: REDACTED:REDACTED@h\\n");
}

}  // namespace
}  // namespace remora::protocol::http
