// SPDX-License-Identifier: Apache-2.0
// What the tests of the HTTP parser share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/transcript.h"

namespace remora::protocol::http {

extern const Protocol protocol;

inline test::Direction request(std::string bytes) {
    return {protocol, MessageKind::request, std::move(bytes)};
}
inline test::Direction response(std::string bytes, std::vector<uint32_t> hints = {0, 0, 0, 0}) {
    return {protocol, MessageKind::response, std::move(bytes), std::move(hints)};
}

// The transcript, without offsets, sizes, and what is the same in every head. Cut in whatever way,
// the direction must read the same.
inline std::string summary(const test::Direction& direction) {
    EXPECT_EQ(test::compare_readings(direction, 400), "");
    std::string out;
    for (const std::string& event : test::transcribe(direction).events) {
        const std::string word = event.substr(0, event.find(' '));
        if (word == "begin" || word == "insert" || word == "capture" || word == "cut") continue;
        if (!out.empty()) out += "; ";
        out += word;
        if (word == "head") {
            const size_t flags = event.find(' ', event.find("fields="));
            if (flags != std::string::npos) out += event.substr(flags);
        } else if (word == "field") {
            out += event.substr(word.size(), event.rfind(' ') - word.size());
        } else if (word == "finish") {
            out += event.substr(word.size());
        } else if (word == "complete") {
            out += event.substr(event.rfind(' '));
        }
    }
    return out;
}

// What the direction put into captures, one after the other.
inline std::string captured(const test::Direction& direction) {
    EXPECT_EQ(test::compare_readings(direction, 400), "");
    std::string out;
    for (const std::string& event : test::transcribe(direction).events)
        if (event.rfind("capture ", 0) == 0 || event.rfind("cut ", 0) == 0) out += event;
    return out;
}

}  // namespace remora::protocol::http
