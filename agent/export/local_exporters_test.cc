// SPDX-License-Identifier: Apache-2.0
// The exporters that write on this machine, and the set that a configuration asks for.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/export/console_exporter.h"
#include "agent/export/exporters.h"
#include "agent/export/file_exporter.h"
#include "agent/export/otlp_json.h"
#include "agent/export/span_format.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using Clock = std::chrono::steady_clock;

class TemporaryFile {
public:
    TemporaryFile() {
        char name[] = "/tmp/remora-export-XXXXXX";
        fd_.reset(::mkstemp(name));
        path_ = name;
    }
    ~TemporaryFile() { ::unlink(path_.c_str()); }
    const std::string& path() const { return path_; }
    int fd() const { return fd_.get(); }
    std::vector<std::string> lines() const {
        std::vector<std::string> found;
        std::ifstream file(path_);
        for (std::string line; std::getline(file, line);) found.push_back(line);
        return found;
    }

private:
    std::string path_;
    UniqueFd fd_;
};

TEST(FileExporter, WritesOneRequestPerLine) {
    const TemporaryFile file;
    std::ofstream(file.path()) << "what was there before\n";
    auto exporter = FileExporter::create(file.path());
    ASSERT_TRUE(exporter);
    const std::vector<Span> batch = {test::full_span(test::resource_of("shop"))};
    ASSERT_TRUE((*exporter)->export_spans(batch, Clock::time_point::max()));
    ASSERT_TRUE((*exporter)->export_spans(batch, Clock::time_point::max()));
    EXPECT_THAT(file.lines(), ElementsAre(encode_otlp_json(batch), encode_otlp_json(batch)));
}

TEST(FileExporter, SaysWhyAFileCannotBeOpened) {
    auto exporter = FileExporter::create("/nowhere/spans.jsonl");
    ASSERT_FALSE(exporter);
    EXPECT_THAT(exporter.error().text(), HasSubstr("/nowhere/spans.jsonl: No such file"));
}

TEST(FileExporter, AFullDiskIsAnErrorAndNotTheEnd) {
    auto exporter = FileExporter::create("/dev/full");
    ASSERT_TRUE(exporter);
    const auto status = (*exporter)->export_spans({test::full_span(nullptr)}, {});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().number, ENOSPC);
}

// A reader that stops reading holds up nobody, and what it reads later are whole lines.
TEST(FileExporter, AReaderThatStopsGetsWholeLinesLater) {
    const TemporaryFile place;
    const std::string path = place.path() + ".fifo";
    ASSERT_EQ(0, ::mkfifo(path.c_str(), 0600));
    const UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
    auto exporter = FileExporter::create(path);
    ::unlink(path.c_str());
    ASSERT_TRUE(exporter);
    // More than PIPE_BUF, so that a part of a line fits.
    const std::vector<Span> batch(10, test::full_span(test::resource_of("shop")));
    const std::string line = encode_otlp_json(batch) + '\n';
    while ((*exporter)->export_spans(batch, Clock::now())) {
    }
    EXPECT_FALSE((*exporter)->export_spans(batch, Clock::now()));  // another one, dropped whole
    std::string text;
    char bytes[4096];
    const auto read_all = [&] {
        for (ssize_t count; (count = ::read(reader.get(), bytes, sizeof(bytes))) > 0;)
            text.append(bytes, static_cast<size_t>(count));
    };
    read_all();
    EXPECT_NE(0u, text.size() % line.size());
    EXPECT_TRUE((*exporter)->export_spans(batch, Clock::now()));
    read_all();
    ASSERT_EQ(0u, text.size() % line.size());
    for (size_t i = 0; i < text.size(); i += line.size())
        ASSERT_EQ(line, text.substr(i, line.size()));
}

TEST(ConsoleExporter, WritesOneLinePerSpan) {
    const TemporaryFile file;
    ConsoleExporter exporter(file.fd());
    ASSERT_TRUE(exporter.export_spans(
        {test::full_span(test::resource_of("shop")), test::full_span(nullptr)}, {}));
    const auto lines = file.lines();
    ASSERT_THAT(lines, SizeIs(2));
    EXPECT_EQ(lines[0],
              "2023-11-14T22:13:20.000000Z CLIENT GET 1.50 s shop "
              "trace=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 span=b2b2b2b2b2b2b2b2 "
              "parent=c3c3c3c3c3c3c3c3 status=error (it broke) text=grüße empty= number=-42 "
              "large=9007199254740993 fraction=0.25 yes=true no=false list=[a,]");
}

TEST(ConsoleExporter, HostileTextIsHarmless) {
    Span span = test::make_span(1, 2, 0, SpanKind::server, "a\nb\x1b]0;t\x07", 0, 1, nullptr);
    span.attributes = {{"k\r", "\x1b[2J"}};
    EXPECT_THAT(console_line(span), HasSubstr("a\\nb\\x1b]0;t\\x07"));
    EXPECT_THAT(console_line(span), HasSubstr("k\\r=\\x1b[2J"));
}

TEST(SpanFormat, DurationsHaveThreeDigits) {
    EXPECT_EQ(duration_text(0), "0 ns");
    EXPECT_EQ(duration_text(999), "999 ns");
    EXPECT_EQ(duration_text(1500), "1.50 us");
    EXPECT_EQ(duration_text(12'345), "12.3 us");
    EXPECT_EQ(duration_text(999'499), "999 us");
    EXPECT_EQ(duration_text(999'600), "1.00 ms");
    EXPECT_EQ(duration_text(123'456'789), "123 ms");
    EXPECT_EQ(duration_text(9'996'000'000), "10.0 s");
    EXPECT_EQ(duration_text(61'000'000'000), "1 min 1 s");
    EXPECT_EQ(duration_text(7'260'000'000'000), "2 h 1 min");
}

TEST(MakeExporters, MakesWhatTheConfigurationAsksFor) {
    const TemporaryFile file;
    Config config;
    const CountLoss ignore = [](remora_loss, uint64_t) {};
    auto none = make_exporters(config, ignore);
    ASSERT_TRUE(none);
    EXPECT_THAT(*none, SizeIs(0));
    config.otlp.enabled = config.console = true;
    config.output = file.path();
    auto all = make_exporters(config, ignore);
    ASSERT_TRUE(all);
    EXPECT_THAT(*all, SizeIs(3));
    config.output = "/nowhere/x";
    EXPECT_FALSE(make_exporters(config, ignore));
}

}  // namespace
}  // namespace remora
