// SPDX-License-Identifier: Apache-2.0
// Both OTLP encodings, read back by decoders that are not ours: protoc and nlohmann's parser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/export/otlp_json.h"
#include "agent/export/otlp_protobuf.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string decoded_by_protoc(const std::string& message, const std::string& body) {
    char name[] = "/tmp/remora-otlp-XXXXXX";
    const int fd = ::mkstemp(name);
    if (fd < 0) return "no temporary file";
    std::ofstream(name, std::ios::binary) << body;
    const std::string command = "protoc -I " REMORA_SOURCE_DIR "/tests/data/otlp --decode=" +
                                ("remora.test.otlp." + message) + " trace_service.proto < " + name;
    std::string text;
    if (FILE* pipe = ::popen(command.c_str(), "r")) {
        for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
        if (::pclose(pipe) != 0) text = "protoc failed";
    }
    ::close(fd);
    ::unlink(name);
    return text;
}

bool have_protoc() { return std::system("command -v protoc > /dev/null") == 0; }

std::vector<Span> sample() {
    const auto shop = test::resource_of("shop"), stock = test::resource_of("stock");
    return {test::full_span(shop), test::make_span(1, 2, 0, SpanKind::server, "plain", 1, 2, stock),
            test::make_span(1, 3, 2, SpanKind::internal, "late", 2, 3, shop)};
}

constexpr const char* expected_text = R"(resource_spans {
  resource {
    attributes {
      key: "service.name"
      value {
        string_value: "shop"
      }
    }
  }
  scope_spans {
    scope {
      name: "remora"
      version: "VERSION"
    }
    spans {
      trace_id: "\241\241\241\241\241\241\241\241\241\241\241\241\241\241\241\241"
      span_id: "\262\262\262\262\262\262\262\262"
      trace_state: "vendor=1,other=2"
      parent_span_id: "\303\303\303\303\303\303\303\303"
      name: "GET"
      kind: SPAN_KIND_CLIENT
      start_time_unix_nano: 1700000000000000000
      end_time_unix_nano: 1700000001500000000
      attributes {
        key: "text"
        value {
          string_value: "gr\303\274\303\237e"
        }
      }
      attributes {
        key: "empty"
        value {
          string_value: ""
        }
      }
      attributes {
        key: "number"
        value {
          int_value: -42
        }
      }
      attributes {
        key: "large"
        value {
          int_value: 9007199254740993
        }
      }
      attributes {
        key: "fraction"
        value {
          double_value: 0.25
        }
      }
      attributes {
        key: "yes"
        value {
          bool_value: true
        }
      }
      attributes {
        key: "no"
        value {
          bool_value: false
        }
      }
      attributes {
        key: "list"
        value {
          array_value {
            values {
              string_value: "a"
            }
            values {
              string_value: ""
            }
          }
        }
      }
      dropped_attributes_count: 1
      events {
        time_unix_nano: 1700000000000000007
        name: "first_byte"
        attributes {
          key: "k"
          value {
            string_value: "v"
          }
        }
        dropped_attributes_count: 4
      }
      dropped_events_count: 2
      links {
        trace_id: "\324\324\324\324\324\324\324\324\324\324\324\324\324\324\324\324"
        span_id: "\345\345\345\345\345\345\345\345"
        trace_state: "l=1"
        attributes {
          key: "why"
          value {
            string_value: "batch"
          }
        }
        dropped_attributes_count: 5
      }
      dropped_links_count: 3
      status {
        message: "it broke"
        code: STATUS_CODE_ERROR
      }
      flags: 771
    }
    spans {
      trace_id: "\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001"
      span_id: "\003\003\003\003\003\003\003\003"
      parent_span_id: "\002\002\002\002\002\002\002\002"
      name: "late"
      kind: SPAN_KIND_INTERNAL
      start_time_unix_nano: 1700000000002000000
      end_time_unix_nano: 1700000000003000000
      flags: 257
    }
    schema_url: "https://opentelemetry.io/schemas/1.44.0"
  }
  schema_url: "https://opentelemetry.io/schemas/1.44.0"
}
resource_spans {
  resource {
    attributes {
      key: "service.name"
      value {
        string_value: "stock"
      }
    }
  }
  scope_spans {
    scope {
      name: "remora"
      version: "VERSION"
    }
    spans {
      trace_id: "\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001"
      span_id: "\002\002\002\002\002\002\002\002"
      name: "plain"
      kind: SPAN_KIND_SERVER
      start_time_unix_nano: 1700000000001000000
      end_time_unix_nano: 1700000000002000000
      flags: 257
    }
    schema_url: "https://opentelemetry.io/schemas/1.44.0"
  }
  schema_url: "https://opentelemetry.io/schemas/1.44.0"
}
)";

TEST(OtlpProtobuf, EveryFieldIsReadBackByProtoc) {
    if (!have_protoc()) GTEST_SKIP() << "needs protoc (Debian: protobuf-compiler)";
    std::string expected = expected_text;
    for (size_t at; (at = expected.find("VERSION")) != std::string::npos;)
        expected.replace(at, 7, REMORA_VERSION);
    EXPECT_EQ(decoded_by_protoc("ExportTraceServiceRequest", encode_otlp_protobuf(sample())),
              expected);
}

TEST(OtlpProtobuf, AnEmptyBatchIsAnEmptyRequest) { EXPECT_EQ(encode_otlp_protobuf({}), ""); }

TEST(OtlpProtobuf, ReadsAPartialSuccess) {
    const OtlpResponse response = decode_otlp_response("\x0a\x06\x08\x03\x12\x02no");
    EXPECT_TRUE(response.readable);
    EXPECT_EQ(response.rejected_spans, 3);
    EXPECT_EQ(response.message, "no");
    EXPECT_TRUE(decode_otlp_response("").readable);
}

TEST(OtlpProtobuf, ReadsAStatus) {
    EXPECT_EQ(decode_otlp_status("\x08\x03\x12\x07too bad").message, "too bad");
}

TEST(OtlpProtobuf, GarbageIsUnreadableAndHarmless) {
    const std::string good = "\x0a\x06\x08\x03\x12\x02no";
    for (size_t size = 1; size < good.size(); ++size)
        EXPECT_FALSE(decode_otlp_response(good.substr(0, size)).readable) << size;
    EXPECT_FALSE(decode_otlp_response("<html>").readable);
    EXPECT_FALSE(decode_otlp_status("\xff\xff\xff").readable);
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "\x0b";  // groups, never closed
    EXPECT_FALSE(decode_otlp_response(deep).readable);
}

TEST(OtlpJson, FollowsTheMapping) {
    const std::string text = encode_otlp_json(sample());
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const json groups = json::parse(text).at("resourceSpans");
    ASSERT_EQ(groups.size(), 2u);
    const json& shop = groups[0];
    EXPECT_EQ(shop["resource"]["attributes"],
              json::parse(R"([{"key":"service.name","value":{"stringValue":"shop"}}])"));
    EXPECT_EQ(shop["scopeSpans"][0]["scope"]["name"], "remora");
    EXPECT_EQ(shop["scopeSpans"][0]["schemaUrl"], "https://opentelemetry.io/schemas/1.44.0");
    EXPECT_EQ(shop["schemaUrl"], "https://opentelemetry.io/schemas/1.44.0");
    const json& span = shop["scopeSpans"][0]["spans"][0];
    EXPECT_EQ(span, json::parse(R"({
        "traceId": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", "spanId": "b2b2b2b2b2b2b2b2",
        "parentSpanId": "c3c3c3c3c3c3c3c3", "traceState": "vendor=1,other=2", "flags": 771,
        "name": "GET", "kind": 3,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001500000000",
        "attributes": [
            {"key": "text", "value": {"stringValue": "grüße"}},
            {"key": "empty", "value": {"stringValue": ""}},
            {"key": "number", "value": {"intValue": "-42"}},
            {"key": "large", "value": {"intValue": "9007199254740993"}},
            {"key": "fraction", "value": {"doubleValue": 0.25}},
            {"key": "yes", "value": {"boolValue": true}},
            {"key": "no", "value": {"boolValue": false}},
            {"key": "list", "value": {"arrayValue": {"values": [
                {"stringValue": "a"}, {"stringValue": ""}]}}}],
        "events": [{"timeUnixNano": "1700000000000000007", "name": "first_byte",
                    "attributes": [{"key": "k", "value": {"stringValue": "v"}}],
                    "droppedAttributesCount": 4}],
        "links": [{"traceId": "d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4", "spanId": "e5e5e5e5e5e5e5e5",
                   "traceState": "l=1",
                   "attributes": [{"key": "why", "value": {"stringValue": "batch"}}],
                   "droppedAttributesCount": 5}],
        "droppedAttributesCount": 1, "droppedEventsCount": 2, "droppedLinksCount": 3,
        "status": {"message": "it broke", "code": 2}})"));
    const json& root = groups[1]["scopeSpans"][0]["spans"][0];
    EXPECT_FALSE(root.contains("parentSpanId"));
    EXPECT_EQ(root["status"], json::object());
    EXPECT_EQ(root["flags"], 0x101);
}

TEST(OtlpJson, SpellsNumbersThatJsonDoesNotHave) {
    Span span = test::make_span(1, 2, 0, SpanKind::server, "n", 0, 1, nullptr);
    span.attributes = {{"nan", std::nan("")}, {"inf", -INFINITY}};
    const json parsed = json::parse(encode_otlp_json({span}));
    const json& attributes = parsed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    EXPECT_EQ(attributes[0]["value"]["doubleValue"], "NaN");
    EXPECT_EQ(attributes[1]["value"]["doubleValue"], "-Infinity");
}

TEST(OtlpJson, EscapesAnyText) {
    std::string every;
    for (int c = 0; c < 0x80; ++c) every += static_cast<char>(c);
    for (int c = 0x80; c < 0xc0; ++c) every += std::string("\xc2") + static_cast<char>(c);
    every += "\xe2\x80\xa8 \xf0\x9f\x90\x9f";
    Span span = test::make_span(1, 2, 0, SpanKind::server, every, 0, 1, nullptr);
    span.attributes = {{every, every}};
    const json parsed = json::parse(encode_otlp_json({span}));
    const json& read = parsed["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    EXPECT_EQ(read["name"], every);
    EXPECT_EQ(read["attributes"][0]["key"], every);
    EXPECT_EQ(read["attributes"][0]["value"]["stringValue"], every);
}

TEST(OtlpJson, HoldsNoCodeThatATerminalObeys) {
    const Span span =
        test::make_span(1, 2, 0, SpanKind::server, "\x1b[2J\x7f\xc2\x9b\xc3\x9b", 0, 1, nullptr);
    EXPECT_THAT(encode_otlp_json({span}), HasSubstr("\\u001b[2J\\u007f\\u009b\xc3\x9b"));
}

TEST(OtlpJson, AnEmptyBatchIsAnEmptyRequest) {
    EXPECT_EQ(encode_otlp_json({}), R"({"resourceSpans":[]})");
}

TEST(OtlpJson, MendsTextThatIsNotUtf8) {
    const Span span = test::make_span(1, 2, 0, SpanKind::server, "a\xff", 0, 1, nullptr);
    EXPECT_THAT(encode_otlp_json({span}), HasSubstr("a\xef\xbf\xbd"));
}

TEST(OtlpJson, ReadsResponses) {
    const auto partial = decode_otlp_json_response(
        R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}})");
    EXPECT_EQ(partial.rejected_spans, 2);
    EXPECT_EQ(partial.message, "no");
    EXPECT_EQ(decode_otlp_json_response(R"({"partialSuccess":{"rejectedSpans":2}})").rejected_spans,
              2);
    EXPECT_EQ(decode_otlp_json_response(R"({"code":3,"message":"bad"})").message, "bad");
    EXPECT_TRUE(decode_otlp_json_response("{}").readable);
    for (const char* garbage : {"", "{", "[]", "null", "\"x\""})
        EXPECT_FALSE(decode_otlp_json_response(garbage).readable) << garbage;
    EXPECT_EQ(decode_otlp_json_response(R"({"partialSuccess":7,"message":[]})").message, "");
}

}  // namespace
}  // namespace remora
