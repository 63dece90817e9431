// SPDX-License-Identifier: Apache-2.0
// What every protocol of the registry has to keep, tried on its folder's corpus: the contract of
// protocol.h, and that no cut of the stream, no byte behind a message and no page's end makes a
// difference.
//
// A corpus has `name.request` and `name.response` files: one direction of a conversation each, as
// it was on the wire. Beside one may lie `name.request.expect`: the transcript (tests/support/
// transcript.h) that it must give. REMORA_WRITE_EXPECTATIONS=1 writes all of them anew, to be read
// and committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/protocol/description.h"
#include "tests/support/transcript.h"

namespace remora::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t cuts_max = 3000;  // of one file; longer files are cut at evenly spread offsets

fs::path folder_of(const Protocol& protocol) {
    return fs::path(REMORA_SOURCE_DIR) / "agent" / "protocol" / protocol.name;
}

std::string read_all(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in) << path;
    return {std::istreambuf_iterator<char>(in), {}};
}

// The conversation's other half tells the answers' parser what was asked.
Direction direction_of(const Protocol& protocol, const fs::path& path) {
    if (path.extension() == ".request") return {protocol, MessageKind::request, read_all(path)};
    Direction direction{protocol, MessageKind::response, read_all(path)};
    fs::path questions = path;
    questions.replace_extension(".request");
    if (fs::exists(questions)) {
        Direction asked{protocol, MessageKind::request, read_all(questions)};
        asked.switches_declined = true;  // or the rest is no request and hints_of() ends there
        direction.hints = hints_of(transcribe(asked));
    }
    return direction;
}

struct Sample {
    const Protocol* protocol;
    fs::path path;
};
void PrintTo(const Sample& sample, std::ostream* out) { *out << sample.path; }

std::vector<Sample> samples() {
    std::vector<Sample> found;
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i) {
        const fs::path corpus = folder_of(*all.data[i]) / "corpus";
        if (!fs::exists(corpus)) continue;
        for (const fs::directory_entry& entry : fs::directory_iterator(corpus)) {
            const std::string kind = entry.path().extension();
            if (kind == ".request" || kind == ".response")
                found.push_back({all.data[i], entry.path()});
        }
    }
    std::sort(found.begin(), found.end(),
              [](const Sample& a, const Sample& b) { return a.path < b.path; });
    return found;
}

std::string name_of(const testing::TestParamInfo<Sample>& info) {
    std::string name =
        std::string(info.param.protocol->name) + "_" + info.param.path.filename().string();
    for (char& c : name)
        if (isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return name;
}

class Conformance : public testing::TestWithParam<Sample> {
protected:
    const Protocol& protocol_ = *GetParam().protocol;
    Direction direction_ = direction_of(protocol_, GetParam().path);
};

TEST_P(Conformance, NoCutMakesADifference) {
    EXPECT_EQ(compare_readings(direction_, cuts_max), "");
}

// A message ends where it ends: what follows, of another message or of none, doesn't change it.
TEST_P(Conformance, TrailingBytesChangeNothing) {
    const Transcript alone = transcribe(direction_);
    if (!alone.may_go_on) GTEST_SKIP() << "nothing can follow this";
    ASSERT_EQ(alone.events.back(), "finish partial");
    const std::string first = direction_.bytes;
    std::vector<std::string> tails{first, std::string(64, '\0'), std::string(64, '\xff')};
    for (const size_t size : {1, 2, 3, 17}) tails.push_back(first.substr(0, size));
    const std::vector<uint32_t> hints = direction_.hints;
    direction_.hints.insert(direction_.hints.end(), hints.begin(), hints.end());
    for (const std::string& tail : tails) {
        direction_.bytes = first + tail;
        const Transcript both = transcribe(direction_);
        EXPECT_EQ(both.failure, "");
        ASSERT_GE(both.events.size(), alone.events.size() - 1);
        for (size_t i = 0; i + 1 < alone.events.size(); ++i)
            EXPECT_EQ(both.events[i], alone.events[i]);
    }
}

TEST_P(Conformance, TheCaptureKeepsItsLimit) {
    for (const uint16_t limit : {0, 1, 7, 64, 1024}) {
        Reading reading;
        reading.capture_limit = limit;  // the byte behind it can't be written
        EXPECT_EQ(transcribe(direction_, reading).failure, "") << limit;
    }
}

// A stream may end anywhere: finish() says what that means and takes nothing more.
TEST_P(Conformance, TheStreamMayEndAnywhere) {
    const std::string whole = direction_.bytes;
    const size_t step = whole.size() > cuts_max ? whole.size() / cuts_max : 1;
    for (size_t size = 0; size < whole.size(); size += step) {
        direction_.bytes = whole.substr(0, size);
        const Transcript transcript = transcribe(direction_);
        EXPECT_EQ(transcript.failure, "") << "ends at " << size << "\n" << transcript.text();
    }
}

TEST_P(Conformance, DetectsItsOwnRequests) {
    if (direction_.kind != MessageKind::request) GTEST_SKIP() << "answers are not detected";
    Detection last = Detection::maybe;
    for (size_t size = 0; size <= direction_.bytes.size(); ++size) {
        const std::string copy = direction_.bytes.substr(0, size);
        const Detection detection = protocol_.detect({copy.data(), copy.size()});
        ASSERT_NE(detection, Detection::no) << size;
        if (last == Detection::yes) {
            ASSERT_EQ(detection, Detection::yes) << size;
        }
        if (size >= 24) {
            ASSERT_EQ(detection, Detection::yes) << size;
        }
        last = detection;
    }
    EXPECT_EQ(last, Detection::yes);
}

TEST_P(Conformance, SaysWhatIsExpected) {
    fs::path path = GetParam().path;
    path += ".expect";
    const std::string said = transcribe(direction_).text();
    if (std::getenv("REMORA_WRITE_EXPECTATIONS") != nullptr) std::ofstream(path) << said;
    if (!fs::exists(path)) GTEST_SKIP() << "no " << path.filename();
    EXPECT_EQ(said, read_all(path));
}

INSTANTIATE_TEST_SUITE_P(Corpus, Conformance, testing::ValuesIn(samples()), name_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Conformance);

TEST(Registry, EveryProtocolIsWhole) {
    const ProtocolList all = protocols();
    ASSERT_GT(all.size, 0u);
    for (size_t i = 0; i < all.size; ++i) {
        const Protocol& protocol = *all.data[i];
        SCOPED_TRACE(protocol.name);
        EXPECT_LE(strlen(protocol.name), 15u);
        EXPECT_EQ(find_protocol({protocol.name, strlen(protocol.name)}), &protocol);
        EXPECT_NE(find_describe(protocol.name), nullptr);
        EXPECT_TRUE(protocol.serves || protocol.calls);
        EXPECT_NE(protocol.detect, nullptr);
        EXPECT_NE(protocol.parse, nullptr);
        EXPECT_NE(protocol.body_left, nullptr);
        EXPECT_NE(protocol.skip, nullptr);
        EXPECT_NE(protocol.finish, nullptr);
        EXPECT_EQ(protocol.injects, protocol.write_field != nullptr);
        EXPECT_EQ(protocol.injects, protocol.refuse_insert != nullptr);
        EXPECT_TRUE(fs::exists(folder_of(protocol) / "README.md"));
    }
    EXPECT_EQ(find_protocol("no such"), nullptr);
    EXPECT_EQ(find_describe("no such"), nullptr);
}

TEST(Registry, EveryProtocolHasACorpus) {
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i) {
        size_t requests = 0, responses = 0;
        for (const Sample& sample : samples()) {
            if (sample.protocol != all.data[i]) continue;
            ++(sample.path.extension() == ".request" ? requests : responses);
        }
        EXPECT_GT(requests, 0u) << all.data[i]->name;
        EXPECT_GT(responses, 0u) << all.data[i]->name;
    }
}

// What one protocol's client says first must not be taken for another's.
TEST(Registry, NoSampleIsDetectedTwice) {
    const ProtocolList all = protocols();
    for (const Sample& sample : samples()) {
        if (sample.path.extension() != ".request") continue;
        const std::string bytes = read_all(sample.path);
        for (size_t i = 0; i < all.size; ++i) {
            const Detection detection = all.data[i]->detect({bytes.data(), bytes.size()});
            EXPECT_EQ(detection == Detection::yes, all.data[i] == sample.protocol)
                << sample.path << " by " << all.data[i]->name;
        }
    }
}

}  // namespace
}  // namespace remora::test
