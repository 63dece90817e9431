// SPDX-License-Identifier: Apache-2.0
// Agreement with llhttp, node's parser, in its strict mode, on its own test cases (corpus/llhttp).
// Where we differ differences.txt says how and why, and nowhere else may we.
#include <fstream>
#include <map>
#include <sstream>

#include "agent/protocol/http/state.h"
#include "agent/protocol/http/test_http.h"

namespace remora::protocol::http {
namespace {

const std::string folder = REMORA_SOURCE_DIR "/agent/protocol/http/corpus/llhttp/";

struct Case {
    std::string name, kind, wire, want;
};

std::string unescape(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 2, 2), nullptr, 16));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string after(const std::string& line, const std::string& word) {
    EXPECT_EQ(line.substr(0, word.size()), word) << line;
    return line.substr(word.size());
}

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    std::ifstream in(folder + "cases.txt");
    for (std::string name, wire, want;
         std::getline(in, name) && std::getline(in, wire) && std::getline(in, want);) {
        wire = after(wire, "wire ");
        const size_t quote = wire.find('"');
        cases.push_back({after(name, "case "), wire.substr(0, quote - 1),
                         unescape(wire.substr(quote + 1, wire.size() - quote - 2)),
                         after(want, "want ")});
    }
    return cases;
}

struct Difference {
    std::string ours, reason;
    bool used = false;
};

// "ours OUTCOME", "why REASON", then the cases that it is true of, one "case NAME" a line.
std::map<std::string, Difference> read_differences() {
    std::map<std::string, Difference> out;
    std::ifstream in(folder + "differences.txt");
    Difference current;
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("why ", 0) == 0) current.reason = line.substr(4);
        if (line.rfind("ours ", 0) == 0) current.ours = line.substr(5);
        if (line.rfind("case ", 0) == 0) out[line.substr(5)] = current;
    }
    return out;
}

// The bodies of the complete messages, then how it ended, in the words of cases.txt.
std::string outcome(const Case& c) {
    const bool asks = c.kind == "request";
    test::Direction direction =
        asks ? request(c.wire)
             : response(c.wire,
                        std::vector<uint32_t>(9, c.kind == "response" ? 0u : uint32_t{hint_head}));
    direction.switches_declined = c.want.find("switch") == std::string::npos;
    EXPECT_EQ(test::compare_readings(direction), "") << c.name;
    std::string out, end = "end";
    for (const std::string& event : test::transcribe(direction).events) {
        const size_t body = event.find(" body=");
        if (event.rfind("complete", 0) == 0) out += event.substr(body + 6) + " ";
        if (event.rfind("finish", 0) == 0 && body != std::string::npos &&
            event.substr(body) != " body=0")
            out += "~" + event.substr(body + 6) + " ";
        if (event == "invalid") end = "reject";
        if (event.rfind("held", 0) == 0) end = "switch";
        if (event.rfind("ignored", 0) == 0) {
            out += "0 ";  // the head that switches is a message of its own
            end = "switch";
        }
    }
    return out + end;
}

std::string without_reason(const std::string& want) {
    const size_t colon = want.find(": ");
    return colon == std::string::npos ? want : want.substr(0, colon);
}

TEST(Llhttp, AgreesInItsStrictMode) {
    std::map<std::string, Difference> differences = read_differences();
    const std::vector<Case> cases = read_cases();
    ASSERT_GT(cases.size(), 200u);
    for (const Case& c : cases) {
        const std::string ours = outcome(c);
        const auto listed = differences.find(c.name);
        if (listed == differences.end()) {
            EXPECT_EQ(ours, without_reason(c.want)) << "case " << c.name << "\n"
                                                    << c.wire << "\nllhttp: " << c.want;
            continue;
        }
        listed->second.used = true;
        EXPECT_EQ(ours, listed->second.ours) << "case " << c.name;
        EXPECT_NE(ours, without_reason(c.want)) << "no longer a difference: " << c.name;
        EXPECT_FALSE(listed->second.reason.empty()) << c.name;
    }
    for (const auto& [name, difference] : differences)
        EXPECT_TRUE(difference.used) << "no such case: " << name;
}

}  // namespace
}  // namespace remora::protocol::http
