// SPDX-License-Identifier: Apache-2.0
// Against tests/support/grpc_collector.py: Google's gRPC where it answers well, broken HTTP/2 where
// not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "agent/export/batch_processor.h"
#include "agent/export/grpc_frame.h"
#include "agent/export/otlp_exporter.h"
#include "agent/export/otlp_json.h"
#include "tests/support/collector_process.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

TEST(GrpcFrame, IsReadBackWhole) {
    const std::string frame = grpc_frame(std::string(300, 'x'));
    EXPECT_EQ(frame.substr(0, 5), "\0\0\0\1\x2c"s);
    EXPECT_EQ(grpc_unframed(frame), std::string(300, 'x'));
    for (size_t size = 0; size < frame.size(); ++size)
        EXPECT_FALSE(grpc_unframed(frame.substr(0, size))) << size;
    EXPECT_FALSE(grpc_unframed(frame + "x"));
    EXPECT_FALSE(grpc_unframed("\1\0\0\0\0"s));  // compressed: never asked for
    EXPECT_FALSE(grpc_unframed("\0\xff\xff\xff\xff"s));
}

TEST(GrpcFrame, ReadsTheStatusOfTheTrailers) {
    EXPECT_FALSE(read_grpc_status({{"content-type", "application/grpc"}}));
    const auto status =
        read_grpc_status({{"grpc-status", "0"}, {"grpc-status", "14"}, {"grpc-message", "a%20b%"}});
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 14);
    EXPECT_EQ(status->message, "a%20b%");  // not well-formed: as it came
    EXPECT_EQ(read_grpc_status({{"grpc-status", "3"}, {"grpc-message", "a%20b"}})->message, "a b");
    EXPECT_EQ(read_grpc_status({{"grpc-status", "x"}})->code, 2);
}

TEST(GrpcFrame, DetailsThatAreNoneDoNoHarm) {
    for (const char* details : {"", "*", "////", "AAAA", "GgA", "CP///////////wE="}) {
        const auto status =
            read_grpc_status({{"grpc-status", "8"}, {"grpc-status-details-bin", details}});
        EXPECT_FALSE(status->retry_delay) << details;
    }
}

TEST(GrpcFrame, WhatMayHealIsAsTheSpecificationSays) {
    std::set<int> retryable;
    for (int code = 0; code <= 20; ++code)
        if (is_retryable_grpc_code(code, false)) retryable.insert(code);
    EXPECT_THAT(retryable, ElementsAre(1, 4, 10, 11, 14, 15));
    EXPECT_TRUE(is_retryable_grpc_code(8, true));
    EXPECT_FALSE(is_retryable_grpc_code(3, true));
}

class OtlpGrpcTest : public testing::Test {
protected:
    void start(std::vector<std::string> arguments, OtlpConfig config = {}) {
        collector_.emplace(std::move(arguments), "grpc_collector.py");
        if (!collector_->running()) GTEST_SKIP() << "needs python3-grpcio";
        if (config.unix_socket.empty())
            config.endpoint = "http://127.0.0.1:" + std::to_string(collector_->port());
        config.protocol = OtlpProtocol::grpc;
        auto made = make_otlp_exporter(
            config, [this](remora_loss, uint64_t count) { rejected_ += count; }, 1,
            [this](FailureLog::Level, const std::string& line) { lines_.push_back(line); });
        ASSERT_TRUE(made);
        exporter_ = std::move(*made);
    }
    Result<Delivery> send(std::chrono::milliseconds limit = 20s) {
        return exporter_->export_spans(batch_, Clock::now() + limit);
    }
    std::vector<std::string> modes() const {
        std::vector<std::string> found;
        for (const auto& record : collector_->records()) found.push_back(record["mode"]);
        return found;
    }
    nlohmann::json expected() const {
        auto json = nlohmann::json::parse(encode_otlp_json(batch_));
        for (auto& group : json["resourceSpans"])
            for (auto& span : group["scopeSpans"][0]["spans"])
                for (const char* member : {"status", "attributes"})  // protobuf sends no empty ones
                    if (span[member].empty()) span.erase(member);
        return json;
    }

    std::optional<test::CollectorProcess> collector_;
    std::unique_ptr<RetryingExporter> exporter_;
    std::vector<Span> batch_ = {
        test::full_span(test::resource_of("shop")),
        test::make_span(1, 2, 0, SpanKind::server, "plain", 1, 2, test::resource_of("stock"))};
    std::vector<std::string> lines_;
    uint64_t rejected_ = 0;
};

TEST_F(OtlpGrpcTest, ArrivesAsTheJsonEncoderSaysIt) {
    OtlpConfig config;
    config.headers = {{"x-tenant", "7"}};
    start({}, config);
    if (!exporter_) return;
    ASSERT_TRUE(send()) << testing::PrintToString(lines_);
    ASSERT_TRUE(send());
    const auto records = collector_->records();
    ASSERT_THAT(records, SizeIs(2));
    EXPECT_EQ(records[0]["metadata"]["x-tenant"], "7");
    EXPECT_EQ(records[0]["peer"], records[1]["peer"]);  // one connection
    EXPECT_THAT(lines_, IsEmpty());
    if (records[0]["request"].is_null()) GTEST_SKIP() << "not decoded: " << records[0]["undecoded"];
    EXPECT_EQ(records[0]["request"], expected());
}

TEST_F(OtlpGrpcTest, ArrivesCompressed) {
    OtlpConfig config;
    config.compression = Compression::gzip;
    start({}, config);
    if (!exporter_) return;
    ASSERT_TRUE(send());
    const auto records = collector_->records();
    ASSERT_THAT(records, SizeIs(1));
    // What travelled is shorter than what gRPC handed to the service.
    EXPECT_NE(records[0]["metadata"]["content-length"],
              std::to_string(records[0]["size"].get<int>() + 5));
    if (records[0]["request"].is_null()) GTEST_SKIP() << "not decoded: " << records[0]["undecoded"];
    EXPECT_EQ(records[0]["request"], expected());
}

TEST_F(OtlpGrpcTest, ArrivesThroughAUnixSocket) {
    const std::string path = "/tmp/remora-grpc-" + std::to_string(::getpid()) + ".sock";
    OtlpConfig config;
    config.unix_socket = path;
    config.endpoint = "http://localhost/v1/traces";
    start({"--unix", path}, config);
    if (!exporter_) return;
    EXPECT_TRUE(send());
    EXPECT_THAT(collector_->records(), SizeIs(1));
    collector_.reset();
    ::unlink(path.c_str());
}

TEST_F(OtlpGrpcTest, TriesAgainWhatMayHeal) {
    for (const char* code : {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED",
                             "OUT_OF_RANGE", "DATA_LOSS"}) {
        lines_.clear();
        start({"--mode", code + ",OK"s, "--message", "grüße"});
        if (!exporter_) return;
        ASSERT_TRUE(send()) << code;
        EXPECT_THAT(modes(), ElementsAre(code, "OK"));
        ASSERT_THAT(lines_, SizeIs(2));
        EXPECT_THAT(lines_[0], HasSubstr("gRPC "s + code + ": grüße"));
        EXPECT_THAT(lines_[1], HasSubstr("works again"));
    }
}

TEST_F(OtlpGrpcTest, NeverTriesAgainWhatCannotHeal) {
    for (const char* code : {"INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED",
                             "UNIMPLEMENTED", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED"}) {
        lines_.clear();
        start({"--mode", code + ",OK"s});
        if (!exporter_) return;
        EXPECT_FALSE(send()) << code;
        EXPECT_THAT(modes(), ElementsAre(code));
        ASSERT_THAT(lines_, SizeIs(1));
        EXPECT_THAT(lines_[0], HasSubstr("2 spans dropped"));
    }
}

TEST_F(OtlpGrpcTest, HonoursRetryInfo) {
    start({"--mode", "RESOURCE_EXHAUSTED,OK", "--retry-after", "1.5"});
    if (!exporter_) return;
    const auto begin = Clock::now();
    ASSERT_TRUE(send()) << testing::PrintToString(lines_);
    EXPECT_GE(Clock::now() - begin, 1500ms);
    EXPECT_THAT(modes(), ElementsAre("RESOURCE_EXHAUSTED", "OK"));
}

TEST_F(OtlpGrpcTest, APartialSuccessIsCountedAndReported) {
    start({"--mode", "partial", "--rejected", "1", "--message", "too old"});
    if (!exporter_) return;
    ASSERT_TRUE(send());
    EXPECT_EQ(rejected_, 1u);
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_THAT(lines_[0], testing::EndsWith("1 span refused: too old"));
}

TEST_F(OtlpGrpcTest, OneAttemptIsBounded) {
    OtlpConfig config;
    config.timeout = 300ms;
    start({"--mode", "hang,OK"}, config);
    if (!exporter_) return;
    ASSERT_TRUE(send());
    EXPECT_THAT(modes(), ElementsAre("hang", "OK"));
}

TEST_F(OtlpGrpcTest, ABrokenPeerIsTriedAgain) {
    for (const char* mode :
         {"raw-reset", "raw-goaway", "raw-close", "raw-frames", "raw-503", "raw-http1"}) {
        lines_.clear();
        start({"--mode", mode + ",raw-ok"s});
        EXPECT_TRUE(send()) << mode;
        EXPECT_EQ(modes().back(), "raw-ok") << mode;
        ASSERT_THAT(lines_, SizeIs(2)) << mode;
        EXPECT_THAT(lines_[1], HasSubstr("works again"));
    }
}

// It said OK, in a way that we can't read: sending again would double what it has.
TEST_F(OtlpGrpcTest, AnOddAnswerIsSaidOnceAndDoesNoHarm) {
    for (const char* mode : {"raw-unframed", "raw-short"}) {
        lines_.clear();
        start({"--mode", mode});
        EXPECT_TRUE(send()) << mode;
        EXPECT_TRUE(send()) << mode;
        ASSERT_THAT(lines_, SizeIs(1)) << mode;
        EXPECT_THAT(lines_[0], HasSubstr("not OTLP"));
    }
}

TEST_F(OtlpGrpcTest, AnAnswerWithoutAStatusIsAFailure) {
    for (const char* mode : {"raw-nostatus", "raw-notrailers", "raw-badstatus", "raw-flood"}) {
        lines_.clear();
        start({"--mode", mode});
        EXPECT_FALSE(send()) << mode;
        EXPECT_THAT(collector_->records(), SizeIs(1)) << mode;
        ASSERT_THAT(lines_, SizeIs(1)) << mode;
        EXPECT_THAT(lines_[0], HasSubstr("gRPC UNKNOWN")) << mode;
    }
}

// Four requests at a time, each on a connection of its own; what was queued is all there at the
// end.
TEST_F(OtlpGrpcTest, SeveralRequestsAreInFlight) {
    start({"--delay", "0.3"});
    if (!exporter_) return;
    BatchConfig batches;
    batches.max_export_batch_size = batches.max_grown_batch_size = 2;
    BatchProcessor processor(std::move(exporter_), batches, [](remora_loss, uint64_t) {});
    for (int i = 0; i < 40; ++i) processor.on_span(batch_[1]);
    EXPECT_TRUE(processor.force_flush(Clock::now() + 60s));
    processor.stop(Clock::now() + 60s);
    EXPECT_EQ(processor.counts().exported, 40u);
    std::set<std::string> peers;
    int most = 0;
    for (const auto& record : collector_->records()) {
        peers.insert(record["peer"]);
        most = std::max(most, record["running"].get<int>());
    }
    EXPECT_THAT(peers, SizeIs(4));
    EXPECT_GT(most, 1);
}

}  // namespace
}  // namespace remora
