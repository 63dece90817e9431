// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/listen_address.h"
#include "agent/export/metrics_server.h"
#include "agent/export/metrics_text.h"

namespace remora {
namespace {

using testing::HasSubstr;

TEST(MetricsText, HasEveryNumberUnderItsName) {
    AgentNumbers numbers;
    numbers.spans_seen = 10;
    numbers.spans_kept = 9;
    numbers.losses = {{"queue_full", 3}};
    ExportCounts counts;
    counts.exported = 5;
    counts.failed = 4;
    counts.dropped = 3;
    counts.spooled = 2;
    counts.queued = 1;
    counts.spool_bytes = 77;
    counts.latency.add(0.003);
    counts.latency.add(0.2);
    counts.latency.add(100);
    numbers.destinations = {{"OTLP \"x\"", counts}};
    const std::string text = metrics_text(numbers);
    for (const char* line :
         {"remora_spans_seen_total 10\n", "remora_spans_sampled_total 9\n",
          "remora_losses_total{reason=\"queue_full\"} 3\n",
          "remora_export_spans_sent_total{destination=\"OTLP \\\"x\\\"\"} 5\n",
          "remora_export_spans_failed_total{destination=\"OTLP \\\"x\\\"\"} 4\n",
          "remora_export_spans_dropped_total{destination=\"OTLP \\\"x\\\"\"} 3\n",
          "remora_export_spans_spooled_total{destination=\"OTLP \\\"x\\\"\"} 2\n",
          "remora_export_queue_spans{destination=\"OTLP \\\"x\\\"\"} 1\n",
          "remora_export_spool_bytes{destination=\"OTLP \\\"x\\\"\"} 77\n", "le=\"0.005\"} 1\n",
          "le=\"0.1\"} 1\n", "le=\"0.25\"} 2\n", "le=\"10\"} 2\n", "le=\"+Inf\"} 3\n",
          "_sum{destination=\"OTLP \\\"x\\\"\"} 100.203\n",
          "_count{destination=\"OTLP \\\"x\\\"\"} 3\n"})
        EXPECT_THAT(text, HasSubstr(line));
}

std::string fetched(int port, const std::string& path) {
    std::string body;
    CURL* easy = curl_easy_init();
    const std::string url = "http://127.0.0.1:" + std::to_string(port) + path;
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(
        easy, CURLOPT_WRITEFUNCTION, +[](char* data, size_t, size_t size, void* user) {
            static_cast<std::string*>(user)->append(data, size);
            return size;
        });
    const CURLcode code = curl_easy_perform(easy);
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return code == CURLE_OK ? std::to_string(status) + " " + body : "no answer";
}

TEST(MetricsServer, AnswersTwoPages) {
    auto server = MetricsServer::start("127.0.0.1:0", [] { return "numbers\n"; });
    ASSERT_TRUE(server) << server.error().text();
    const int port = (*server)->port();
    EXPECT_EQ(fetched(port, "/metrics"), "200 numbers\n");
    EXPECT_EQ(fetched(port, "/healthz"), "200 ok\n");
    EXPECT_THAT(fetched(port, "/"), HasSubstr("404"));
    const auto second = MetricsServer::start("127.0.0.1:" + std::to_string(port), {});
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text(), HasSubstr("cannot listen on 127.0.0.1:"));
    (*server)->stop();
    EXPECT_EQ(fetched(port, "/healthz"), "no answer");
}

TEST(ListenAddress, Forms) {
    EXPECT_EQ(parse_listen_address("127.0.0.1:9464")->host, "127.0.0.1");
    EXPECT_EQ(parse_listen_address(":9464")->port, 9464);
    EXPECT_EQ(parse_listen_address("[::1]:1")->host, "::1");
    for (const char* bad : {"", "9464", "host", "::1:2", "h:port", "h:70000", "a b:1"})
        EXPECT_FALSE(parse_listen_address(bad)) << bad;
}

}  // namespace
}  // namespace remora
