// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/export/zipkin_exporter.h"
#include "agent/export/zipkin_json.h"
#include "tests/support/collector_process.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::SizeIs;

TEST(ZipkinJson, FollowsTheMapping) {
    Span span = test::full_span(test::resource_of("shop"));
    span.attributes.push_back({"server.address", "stock.example"});
    span.attributes.push_back({"server.port", int64_t{8080}});
    const json spans = json::parse(encode_zipkin_json({span}));
    ASSERT_THAT(spans, SizeIs(1));
    EXPECT_EQ(spans[0], json::parse(R"({
        "traceId": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1", "id": "b2b2b2b2b2b2b2b2",
        "parentId": "c3c3c3c3c3c3c3c3", "name": "GET", "kind": "CLIENT",
        "timestamp": 1700000000000000, "duration": 1500000,
        "localEndpoint": {"serviceName": "shop"},
        "remoteEndpoint": {"serviceName": "stock.example", "port": 8080},
        "annotations": [{"timestamp": 1700000000000000, "value": "\"first_byte\":{\"k\":\"v\"}"}],
        "tags": {"text": "grüße", "empty": "", "number": "-42", "large": "9007199254740993",
                 "fraction": "0.25", "yes": "true", "no": "false", "list": "[\"a\",\"\"]",
                 "server.address": "stock.example", "server.port": "8080",
                 "otel.scope.name": "remora", "otel.scope.version": ")" REMORA_VERSION R"(",
                 "otel.status_code": "ERROR", "error": "it broke"}})"));
}

TEST(ZipkinJson, ASpanWithoutAnythingIsStillOne) {
    const Span span = test::make_span(1, 2, 0, SpanKind::internal, "step", 0, 0, nullptr);
    const json spans = json::parse(encode_zipkin_json({span}));
    EXPECT_FALSE(spans[0].contains("kind"));
    EXPECT_FALSE(spans[0].contains("parentId"));
    EXPECT_EQ(spans[0]["duration"], 1);  // 0 would be "unknown"
    EXPECT_EQ(spans[0]["localEndpoint"], json::object());
    EXPECT_EQ(encode_zipkin_json({}), "[]");
}

TEST(ZipkinJson, KeysAreEscapedToo) {
    Span span = test::make_span(1, 2, 0, SpanKind::server, "a\"b", 0, 1, nullptr);
    span.attributes = {{"k\"\n", "v\xff"}};
    const json spans = json::parse(encode_zipkin_json({span}));
    EXPECT_EQ(spans[0]["tags"]["k\"\n"], "v\xef\xbf\xbd");
}

TEST(ZipkinExporter, TriesAgainAndArrives) {
    test::CollectorProcess collector({"--mode", "503,200"});
    if (!collector.running()) GTEST_SKIP() << "needs /usr/bin/python3";
    ZipkinConfig config;
    config.endpoint = "http://127.0.0.1:" + std::to_string(collector.port()) + "/api/v2/spans";
    auto exporter = make_zipkin_exporter(config, [](remora_loss, uint64_t) {}, 1);
    ASSERT_TRUE(exporter);
    const std::vector<Span> batch = {test::full_span(test::resource_of("shop"))};
    EXPECT_TRUE((*exporter)->export_spans(batch, std::chrono::steady_clock::now() + 20s));
    const auto records = collector.records();
    ASSERT_THAT(records, SizeIs(2));
    EXPECT_EQ(records[1]["path"], "/api/v2/spans");
    EXPECT_EQ(records[1]["content_type"], "application/json");
    EXPECT_EQ(records[1]["request"], json::parse(encode_zipkin_json(batch)));
}

}  // namespace
}  // namespace remora
