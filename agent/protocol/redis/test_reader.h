// SPDX-License-Identifier: Apache-2.0
// Drives the parsers in tests as a caller does, over streams cut anywhere.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "agent/protocol/protocol.h"

namespace remora::protocol::redis {

inline const Protocol& redis() {
    const Protocol* found = find_protocol("redis");
    EXPECT_NE(found, nullptr);
    return *found;
}

// What a run over one direction came to.
struct Outcome {
    std::string capture;
    std::vector<Message> messages;  // complete ones
    Verdict last = Verdict::partial;
    bool unfinished = false;  // the stream ended within a message
};

// One direction of a connection as a caller drives it: acts, then calls again with the rest.
class Reader {
public:
    Reader(MessageKind kind, std::deque<uint32_t> hints, bool nothing_open)
        : kind_(kind), hints_(std::move(hints)), nothing_open_(nothing_open) {}

    // false: nothing can be followed any more.
    bool feed(ByteView input, bool use_skip) {
        while (input.size > 0) {
            uint64_t body = use_skip ? redis().body_left(state_) : 0;
            if (body > 0) {
                body = std::min<uint64_t>(body, input.size);
                EXPECT_EQ(redis().skip(state_, message_, body), Verdict::partial);
                input = input.from(body);
                run_.last = Verdict::partial;
                continue;
            }
            Parse parse{state_, message_, capture_, kind_};
            parse.answer_hint = hints_.empty() ? 0 : hints_.front();
            parse.answers_nothing = nothing_open_;
            const Step step = redis().parse(parse, input);
            EXPECT_LE(step.consumed, input.size);
            input = input.from(step.consumed);
            if (!note(step.verdict)) return false;
            EXPECT_TRUE(step.verdict != Verdict::partial || input.size == 0);
        }
        return true;
    }
    Outcome result() {
        run_.capture.assign(reinterpret_cast<char*>(memory_), capture_.size);
        run_.unfinished = redis().finish(state_, message_) == Verdict::invalid;
        return run_;
    }

private:
    bool note(Verdict verdict) {
        run_.last = verdict;
        if (verdict == Verdict::begin) {
            EXPECT_FALSE(open_);
            open_ = true;
            heads_ = 0;
        }
        if (verdict == Verdict::head) ++heads_;
        EXPECT_LE(heads_, 1);
        if (verdict == Verdict::complete) {
            EXPECT_TRUE(open_);
            open_ = false;
            run_.messages.push_back(message_);
            if (!hints_.empty() && !message_.push) hints_.pop_front();
        }
        return verdict != Verdict::invalid && verdict != Verdict::ignored;
    }

    MessageKind kind_;
    std::deque<uint32_t> hints_;
    bool nothing_open_;
    ParserState state_;
    Message message_;
    uint8_t memory_[4096];
    Capture capture_{memory_, 0, sizeof(memory_)};
    Outcome run_;
    bool open_ = false;
    int heads_ = 0;
};

inline Outcome run(MessageKind kind, const std::string& bytes, std::deque<uint32_t> hints = {},
                   size_t piece = SIZE_MAX, bool use_skip = false, bool nothing_open = false) {
    Reader reader(kind, std::move(hints), nothing_open);
    for (size_t at = 0; at < bytes.size();) {
        const size_t size = std::min(piece, bytes.size() - at);
        // Its own allocation: a sanitizer sees a read beyond the input.
        const std::vector<uint8_t> copy(bytes.begin() + at, bytes.begin() + at + size);
        if (!reader.feed({copy.data(), copy.size()}, use_skip)) break;
        at += size;
    }
    return reader.result();
}
inline Outcome request(const std::string& bytes) { return run(MessageKind::request, bytes); }
inline Outcome response(const std::string& bytes) { return run(MessageKind::response, bytes); }

inline std::string command(const std::vector<std::string>& words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words)
        out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return out;
}

inline std::string corpus(const std::string& file) {
    std::ifstream in(REMORA_SOURCE_DIR "/agent/protocol/redis/corpus/" + file, std::ios::binary);
    EXPECT_TRUE(in) << file;
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void expect_same(const Outcome& a, const Outcome& b) {
    EXPECT_EQ(a.capture, b.capture);
    EXPECT_EQ(a.last, b.last);
    EXPECT_EQ(a.unfinished, b.unfinished);
    ASSERT_EQ(a.messages.size(), b.messages.size());
    for (size_t i = 0; i < a.messages.size(); ++i) {
        EXPECT_EQ(a.messages[i].push, b.messages[i].push);
        EXPECT_EQ(a.messages[i].error, b.messages[i].error);
        EXPECT_EQ(a.messages[i].one_way, b.messages[i].one_way);
        EXPECT_EQ(a.messages[i].answer_hint, b.messages[i].answer_hint);
        EXPECT_EQ(a.messages[i].body_bytes, b.messages[i].body_bytes);
        EXPECT_EQ(a.messages[i].head_bytes, b.messages[i].head_bytes);
    }
}

// However the stream is cut, the result is that of the whole.
inline Outcome run_all_ways(MessageKind kind, const std::string& bytes,
                            std::deque<uint32_t> hints = {}) {
    const Outcome whole = run(kind, bytes, hints);
    for (size_t piece : {1, 2, 3, 5, 7, 16, 61})
        for (bool use_skip : {false, true}) {
            SCOPED_TRACE(piece);
            expect_same(whole, run(kind, bytes, hints, piece, use_skip));
        }
    return whole;
}

}  // namespace remora::protocol::redis
