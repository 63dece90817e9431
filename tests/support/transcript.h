// SPDX-License-Identifier: Apache-2.0
// What a parser says of one direction of a connection, written down so that two runs over the same
// bytes, cut differently, can be compared; and whether it kept the contract of protocol.h
// meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/protocol/protocol.h"
#include "tests/support/guarded_memory.h"

namespace remora::test {

struct Direction {
    const Protocol& protocol;
    MessageKind kind;
    std::string bytes;
    // Responses: answer_hint of the requests, in their order; after the last one nothing is open.
    std::vector<uint32_t> hints = {};
    // Goes on behind a message that asks for a switch, as a caller does who sees it declined.
    bool switches_declined = false;
    const NamedFields* named = nullptr;  // fields that the user named
};

struct Transcript {
    // One line each: "begin 0", "field traceparent <00-...> 18", "insert 40", "head 42 fields=2",
    // "complete 45 body=3", "capture ...", "invalid", "ignored 9", "held 42", "finish partial".
    std::vector<std::string> events;
    std::vector<Message> messages;  // as they were at `complete`
    std::string failure;            // a breach of the contract; empty: none
    bool may_go_on = false;         // the direction is between messages and another could follow

    [[nodiscard]] std::string text() const;
};

struct Reading {
    // How many bytes the next call gets, of `left`; at least 1.
    std::function<size_t(size_t left)> piece = [](size_t left) { return left; };
    bool use_skip = false;  // passes over bodies by skip()
    uint16_t capture_limit = 16384;
};

Transcript transcribe(const Direction& direction, const Reading& reading = {});

// Reads the direction whole, byte by byte, cut in two at every offset (`cuts` of them, spread
// evenly, where there are more) and with skip(). Returns the first difference or breach; "": none.
std::string compare_readings(const Direction& direction, size_t cuts = SIZE_MAX);

// Answer hints of what was asked, for the direction that answers.
std::vector<uint32_t> hints_of(const Transcript& requests);

}  // namespace remora::test
