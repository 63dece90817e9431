// SPDX-License-Identifier: Apache-2.0
// Against tests/support/collector.py, which answers well or badly over a real socket.
#include "agent/export/otlp_exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "agent/export/otlp_json.h"
#include "tests/support/collector_process.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

class OtlpHttpExporterTest : public testing::Test {
protected:
    void start(std::vector<std::string> arguments = {}, OtlpConfig config = {}) {
        collector_.emplace(std::move(arguments));
        if (!collector_->running()) GTEST_SKIP() << "needs /usr/bin/python3";
        config.endpoint = collector_->url();
        create(config);
    }
    void create(const OtlpConfig& config) {
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

    std::optional<test::CollectorProcess> collector_;
    std::unique_ptr<RetryingExporter> exporter_;
    std::vector<Span> batch_ = {
        test::full_span(test::resource_of("shop")),
        test::make_span(1, 2, 0, SpanKind::server, "plain", 1, 2, test::resource_of("stock"))};
    std::vector<std::string> lines_;
    uint64_t rejected_ = 0;
};

// The same spans by two encoders of ours and Google's decoder between them.
TEST_F(OtlpHttpExporterTest, ProtobufArrivesAsTheJsonEncoderSaysIt) {
    OtlpConfig config;
    config.headers = {{"x-tenant", "7"}, {"x-empty", ""}};
    start({}, config);
    ASSERT_TRUE(send());
    const auto records = collector_->records();
    ASSERT_THAT(records, SizeIs(1));
    EXPECT_EQ(records[0]["path"], "/v1/traces");
    EXPECT_EQ(records[0]["content_type"], "application/x-protobuf");
    EXPECT_EQ(records[0]["headers"]["x-tenant"], "7");
    EXPECT_EQ(records[0]["headers"]["x-empty"], "");
    EXPECT_FALSE(records[0]["headers"].contains("expect"));
    if (records[0]["request"].is_null()) GTEST_SKIP() << "not decoded: " << records[0]["undecoded"];
    auto expected = nlohmann::json::parse(encode_otlp_json(batch_));
    for (auto& group : expected["resourceSpans"])
        for (auto& span : group["scopeSpans"][0]["spans"])
            for (const char* member : {"status", "attributes"})  // protobuf sends no empty ones
                if (span[member].empty()) span.erase(member);
    EXPECT_EQ(records[0]["request"], expected);
    EXPECT_THAT(lines_, IsEmpty());
}

TEST_F(OtlpHttpExporterTest, JsonOnRequest) {
    OtlpConfig config;
    config.protocol = OtlpProtocol::http_json;
    start({}, config);
    ASSERT_TRUE(send());
    const auto records = collector_->records();
    ASSERT_THAT(records, SizeIs(1));
    EXPECT_EQ(records[0]["content_type"], "application/json");
    EXPECT_EQ(records[0]["request"], nlohmann::json::parse(encode_otlp_json(batch_)));
}

TEST_F(OtlpHttpExporterTest, GzippedOnRequest) {
    OtlpConfig config;
    config.compression = Compression::gzip;
    config.protocol = OtlpProtocol::http_json;
    batch_.resize(100, batch_[0]);
    start({"--mode", "503,200"}, config);
    ASSERT_TRUE(send());
    const auto records = collector_->records();
    ASSERT_THAT(records, SizeIs(2));
    const std::string plain = encode_otlp_json(batch_);
    EXPECT_EQ(records[1]["headers"]["content-encoding"], "gzip");
    EXPECT_LT(records[1]["size"].get<size_t>(), plain.size() / 4);
    EXPECT_EQ(records[1]["request"], nlohmann::json::parse(plain));
}

TEST_F(OtlpHttpExporterTest, TriesAgainWhatMayHeal) {
    for (const char* mode : {"503", "429", "502", "504", "close", "reset"}) {
        lines_.clear();
        start({"--mode", std::string(mode) + ",200"});
        ASSERT_TRUE(send()) << mode;
        EXPECT_THAT(modes(), ElementsAre(mode, "200"));
        ASSERT_THAT(lines_, SizeIs(2));  // one when it began, one when it ended
        EXPECT_THAT(lines_[0], HasSubstr("trying again: "));
        EXPECT_THAT(lines_[1], HasSubstr("works again"));
    }
}

TEST_F(OtlpHttpExporterTest, NeverTriesAgainWhatCannotHeal) {
    for (const char* mode : {"400", "401", "404", "413", "500", "501", "302"}) {
        lines_.clear();
        start({"--mode", std::string(mode) + ",200"});
        EXPECT_FALSE(send()) << mode;
        EXPECT_THAT(collector_->records(), SizeIs(1)) << mode;
        ASSERT_THAT(lines_, SizeIs(1)) << mode;
        EXPECT_THAT(lines_[0], HasSubstr(std::string("HTTP ") + mode));
        EXPECT_THAT(lines_[0], HasSubstr("2 spans dropped"));
    }
}

TEST_F(OtlpHttpExporterTest, SaysWhatTheCollectorSaid) {
    start({"--mode", "400", "--message", "bad\x1b[31m data\nsecond line"});
    EXPECT_FALSE(send());
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_THAT(lines_[0], HasSubstr("bad\\x1b[31m data\\nsecond line"));
}

TEST_F(OtlpHttpExporterTest, HonoursRetryAfter) {
    start({"--mode", "429,200", "--retry-after", "2"});
    const auto begin = Clock::now();
    ASSERT_TRUE(send());
    EXPECT_GE(Clock::now() - begin, 2s);
    EXPECT_THAT(modes(), ElementsAre("429", "200"));
}

TEST_F(OtlpHttpExporterTest, RetriesEndAtTheDeadline) {
    start({"--mode", "503", "--retry-after", "3600"});
    const auto begin = Clock::now();
    EXPECT_FALSE(send(1s));
    EXPECT_GE(Clock::now() - begin, 1s);
    EXPECT_THAT(collector_->records(), SizeIs(1));
    // The next batch waits too: the collector has asked for it.
    EXPECT_FALSE(send(100ms));
    EXPECT_THAT(collector_->records(), SizeIs(1));
    EXPECT_THAT(lines_, SizeIs(1));  // the same trouble is not said again
}

TEST_F(OtlpHttpExporterTest, OneAttemptIsBounded) {
    OtlpConfig config;
    config.timeout = 200ms;
    start({"--mode", "hang,200"}, config);
    ASSERT_TRUE(send());
    EXPECT_THAT(modes(), ElementsAre("hang", "200"));
}

TEST_F(OtlpHttpExporterTest, HurryEndsARunningRequest) {
    OtlpConfig config;
    config.timeout = 1h;
    start({"--mode", "hang"}, config);
    std::jthread hurrier([&] {
        while (collector_->records().empty()) std::this_thread::yield();
        exporter_->hurry(Clock::now());
    });
    const auto begin = Clock::now();
    EXPECT_FALSE(send(1h));
    EXPECT_LT(Clock::now() - begin, 30s);
}

TEST_F(OtlpHttpExporterTest, HurryEndsAWait) {
    start({"--mode", "503", "--retry-after", "3600"});
    std::jthread hurrier([&] {
        while (collector_->records().empty()) std::this_thread::yield();
        exporter_->hurry(Clock::now() + 100ms);
    });
    const auto begin = Clock::now();
    EXPECT_FALSE(send(60s));
    EXPECT_LT(Clock::now() - begin, 30s);
}

TEST_F(OtlpHttpExporterTest, NobodyThereIsSaidOnceAndQuicklyInAHurry) {
    OtlpConfig config;
    config.endpoint = "http://127.0.0.1:1/v1/traces";
    create(config);
    exporter_->hurry(Clock::now() + 60s);
    const auto begin = Clock::now();
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(send(60s));
    EXPECT_LT(Clock::now() - begin, 30s);
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_THAT(lines_[0], HasSubstr("is the collector running"));
}

TEST_F(OtlpHttpExporterTest, APartialSuccessIsCountedAndReported) {
    start({"--mode", "partial", "--rejected", "1", "--message", "too old"});
    ASSERT_TRUE(send());
    EXPECT_THAT(collector_->records(), SizeIs(1));
    EXPECT_EQ(rejected_, 1u);
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_THAT(lines_[0], HasSubstr("1 span refused: too old"));
}

TEST_F(OtlpHttpExporterTest, APartialSuccessCannotRejectMoreThanWasSent) {
    start({"--mode", "partial", "--rejected", "4000000000"});
    ASSERT_TRUE(send());
    EXPECT_EQ(rejected_, batch_.size());
}

TEST_F(OtlpHttpExporterTest, AnOddAnswerIsSaidOnceAndDoesNoHarm) {
    for (const char* mode : {"garbage", "html", "flood"}) {
        lines_.clear();
        start({"--mode", mode});
        EXPECT_TRUE(send()) << mode;
        EXPECT_TRUE(send()) << mode;
        ASSERT_THAT(lines_, SizeIs(1)) << mode;
        EXPECT_THAT(lines_[0], HasSubstr("not OTLP"));
    }
}

TEST_F(OtlpHttpExporterTest, LogLinesDoNotShowCredentialsOfTheUrl) {
    OtlpConfig config;
    config.endpoint = "http://user:secret@127.0.0.1:1/v1/traces";
    create(config);
    exporter_->hurry(Clock::now() + 60s);
    EXPECT_FALSE(send());
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_THAT(lines_[0], Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace remora
