// SPDX-License-Identifier: Apache-2.0
// Random streams for every protocol: corpora, cut up, mixed and damaged, in random pieces. However
// hostile, no parser may break its contract, and no cut may make a difference. The fuzz targets
// (tests/fuzz) look further; this keeps a little of it in every run. REMORA_SEED repeats a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/support/transcript.h"

namespace remora::test {
namespace {

namespace fs = std::filesystem;

constexpr int rounds = 4000;  // per protocol and direction
constexpr size_t stream_max = 4096;

using Random = std::mt19937_64;

size_t below(Random& random, size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random);
}

std::vector<std::string> corpus_of(const Protocol& protocol, const std::string& extension) {
    std::vector<fs::path> paths;
    const fs::path folder =
        fs::path(REMORA_SOURCE_DIR) / "agent" / "protocol" / protocol.name / "corpus";
    for (const fs::directory_entry& entry : fs::directory_iterator(folder))
        if (entry.path().extension() == extension) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());  // or a seed would not repeat elsewhere
    std::vector<std::string> out;
    for (const fs::path& path : paths) {
        std::ifstream in(path, std::ios::binary);
        out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    return out;
}

// One damage: bytes overwritten, taken out, repeated, or brought from somewhere else.
void damage(std::string& stream, const std::vector<std::string>& corpus, Random& random) {
    static const std::string special =
        std::string("\r\n \t:;,=%?&@/*$+-0129afxz_") + '\0' + "\x7f\xff";
    if (stream.empty()) stream = "x";
    const size_t at = below(random, stream.size());
    const size_t size = 1 + below(random, 8);
    const std::string& other = corpus[below(random, corpus.size())];
    switch (below(random, 6)) {
        case 0: stream[at] = static_cast<char>(random()); break;
        case 1: stream[at] = special[below(random, special.size())]; break;
        case 2: stream.erase(at, size); break;
        case 3: stream.insert(at, stream.substr(at, size * 4)); break;
        case 4: stream.insert(at, 1, special[below(random, special.size())]); break;
        default: stream.insert(at, other.substr(below(random, other.size() + 1), size * 8)); break;
    }
    if (stream.size() > stream_max) stream.resize(stream_max);
}

std::string random_stream(const std::vector<std::string>& corpus, Random& random) {
    std::string stream = corpus[below(random, corpus.size())];
    if (below(random, 3) == 0) stream += corpus[below(random, corpus.size())];
    for (size_t count = below(random, 6); count > 0; --count) damage(stream, corpus, random);
    return stream.substr(0, stream_max);
}

Reading random_reading(Random& random) {
    Reading reading;
    reading.use_skip = below(random, 2) == 0;
    const size_t most = size_t{1} << below(random, 10);
    reading.piece = [&random, most](size_t) { return 1 + below(random, most); };
    return reading;
}

void check(const Protocol& protocol, MessageKind kind, uint64_t seed) {
    Random random(seed);
    const bool asks = kind == MessageKind::request;
    const std::vector<std::string> corpus = corpus_of(protocol, asks ? ".request" : ".response");
    ASSERT_FALSE(corpus.empty());
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
        Direction direction{protocol, kind, random_stream(corpus, random)};
        direction.switches_declined = below(random, 2) == 0;
        for (size_t count = below(random, 6); count > 0; --count)
            direction.hints.push_back(static_cast<uint32_t>(below(random, 4)));
        const Transcript whole = transcribe(direction);
        const Transcript cut = transcribe(direction, random_reading(random));
        SCOPED_TRACE("round " + std::to_string(round) + ": " +
                     testing::PrintToString(direction.bytes));
        EXPECT_EQ(whole.failure, "") << whole.text();
        EXPECT_EQ(cut.failure, "") << cut.text();
        EXPECT_EQ(whole.events, cut.events);
    }
}

TEST(RandomStreams, KeepTheContract) {
    const char* given = std::getenv("REMORA_SEED");
    const uint64_t seed =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("REMORA_SEED=%llu\n", static_cast<unsigned long long>(seed));
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i) {
        for (const MessageKind kind : {MessageKind::request, MessageKind::response}) {
            SCOPED_TRACE(std::string(all.data[i]->name) +
                         (kind == MessageKind::request ? " requests" : " responses") +
                         ", REMORA_SEED=" + std::to_string(seed));
            check(*all.data[i], kind, seed);
        }
    }
}

}  // namespace
}  // namespace remora::test
