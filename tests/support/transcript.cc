// SPDX-License-Identifier: Apache-2.0
#include "tests/support/transcript.h"

#include <algorithm>

namespace remora::test {
namespace {

constexpr int idle_calls_max = 4;  // verdicts in a row that consume nothing

std::string number(uint64_t n) { return std::to_string(n); }

std::string printable(const std::string& bytes) {
    static const char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<uint8_t>(c);
        if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
            out += c;
        } else if (byte == '\n') {
            out += "\\n";
        } else {
            out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return out;
}

std::string facts(const Message& m) {
    std::string out = " bytes=" + number(m.head_bytes) + " fields=" + number(m.fields);
    if (m.key != 0) out += " key=" + number(m.key);
    if (m.answer_hint != 0) out += " hint=" + number(m.answer_hint);
    if (m.interim) out += " interim";
    if (m.push) out += " push";
    if (m.one_way) out += " one_way";
    if (m.error) out += " error";
    if (m.untouchable) out += " untouchable";
    if (m.telemetry) out += " telemetry";
    if (m.may_switch) out += " may_switch";
    if (m.switched) out += " switched";
    return out;
}

const char* verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::partial: return "partial";
        case Verdict::complete: return "complete";
        case Verdict::invalid: return "invalid";
        default: return "something else";
    }
}

class Writer {
public:
    Writer(const Direction& direction, const Reading& reading)
        : direction_(direction),
          protocol_(direction.protocol),
          reading_(reading),
          capture_memory_(reading.capture_limit),
          capture_{capture_memory_.last(reading.capture_limit), 0, reading.capture_limit, false} {}

    Transcript run() {
        GuardedMemory memory(std::max<size_t>(direction_.bytes.size(), 1));
        for (size_t at = 0; at < direction_.bytes.size() && open_;) {
            const size_t left = direction_.bytes.size() - at;
            const size_t size = std::clamp<size_t>(reading_.piece(left), 1, left);
            feed(memory.place({direction_.bytes.data() + at, size}));
            at += size;
        }
        end();
        return std::move(out_);
    }

private:
    void fail(const std::string& what) {
        if (out_.failure.empty()) out_.failure = what + " at " + number(position_);
        open_ = false;
    }
    void say(std::string event) { out_.events.push_back(std::move(event)); }

    // As protocol.h has it: acts on what is said, then calls again with the rest, until `partial`.
    void feed(ByteView input) {
        int idle_calls = 0;
        while (open_) {
            if (pass_over_body(input)) continue;
            const Step step = call(input);
            if (!open_) return;
            idle_calls = step.consumed == 0 ? idle_calls + 1 : 0;
            if (idle_calls > idle_calls_max) return fail("no progress");
            position_ += step.consumed;
            input = input.from(step.consumed);
            if (step.verdict == Verdict::partial) {
                if (!input.empty()) fail("partial, with input left");
                return;
            }
            // A caller may stop when the input is used up, and must not miss this.
            if (step.verdict == Verdict::complete && step.consumed == 0)
                fail("complete without its last byte");
            note(step.verdict);
        }
    }

    bool pass_over_body(ByteView& input) {
        const uint64_t body = reading_.use_skip ? protocol_.body_left(state_) : 0;
        const size_t count = std::min<uint64_t>(body, input.size);
        if (count == 0) return false;
        const Verdict verdict = protocol_.skip(state_, message_, count);
        position_ += count;
        input = input.from(count);
        if (verdict == Verdict::complete) {
            note(verdict);
        } else if (verdict != Verdict::partial) {
            fail("skip() said neither partial nor complete");
        }
        return true;
    }

    // Calls twice from the same state: a parser is pure, and a caller may go back.
    Step call(ByteView input) {
        const ParserState state = state_;
        const Message message = message_;
        const Capture capture = capture_;
        const Step first = call_once(input);
        const ParserState after = state_;
        state_ = state;
        message_ = message;
        capture_ = capture;
        const Step second = call_once(input);
        if (first.verdict != second.verdict || first.consumed != second.consumed ||
            memcmp(after.bytes, state_.bytes, sizeof(after.bytes)) != 0)
            fail("two calls from one state differ");
        if (second.consumed > input.size) fail("consumed more than there was");
        return second;
    }

    Step call_once(ByteView input) {
        Parse parse{state_, message_, capture_, direction_.kind};
        parse.named = direction_.named;
        const bool answers = direction_.kind == MessageKind::response;
        if (answers && answered_ < direction_.hints.size())
            parse.answer_hint = direction_.hints[answered_];
        parse.answers_nothing = answers && answered_ >= direction_.hints.size();
        const Step step = protocol_.parse(parse, input);
        piece_ = parse.field;
        if (step.verdict == Verdict::field) check_piece(input, step);
        return step;
    }

    void check_piece(ByteView input, const Step& step) {
        const FieldPiece& p = piece_;
        const auto offset = static_cast<size_t>(p.value.data - input.data);
        if (p.value.size > 0 && (p.value.data < input.data || offset + p.value.size > input.size))
            fail("a piece outside of the input");
        if (p.line_begin != FieldPiece::nowhere && p.line_begin > step.consumed)
            fail("line_begin behind what was consumed");
        if (p.ends != (p.line_end != FieldPiece::nowhere)) fail("line_end without an end");
        if (p.ends && p.line_end != step.consumed) fail("a line that ends elsewhere");
    }

    void note(Verdict verdict) {
        switch (verdict) {
            case Verdict::begin: return note_begin();
            case Verdict::field: return note_field();
            case Verdict::insert: return note_insert();
            case Verdict::head: return note_head();
            case Verdict::complete: return note_complete();
            case Verdict::invalid: say("invalid"); break;
            case Verdict::ignored: say("ignored " + number(position_)); break;
            case Verdict::partial: break;
        }
        open_ = false;
    }

    void note_begin() {
        if (stage_ != Stage::idle) fail("begin within a message");
        stage_ = Stage::begun;
        flush_capture();
        say("begin " + number(position_));
    }

    void note_field() {
        if (stage_ != Stage::begun) fail("field out of place");
        if (piece_.begins == in_line_) fail("a line begun twice, or never");
        if (piece_.begins) line_.clear();
        line_.append(piece_.value.chars(), piece_.value.size);
        in_line_ = !piece_.ends;
        if (!piece_.ends) return;
        const bool parent = piece_.field == PropagationField::traceparent;
        say(std::string("field ") + (parent ? "traceparent <" : "tracestate <") + printable(line_) +
            "> " + number(position_));
    }

    void note_insert() {
        if (stage_ != Stage::begun || !protocol_.injects) fail("insert out of place");
        stage_ = Stage::inserted;
        say("insert " + number(position_));
    }

    void note_head() {
        if (stage_ != (protocol_.injects ? Stage::inserted : Stage::begun))
            fail("head out of place");
        stage_ = Stage::body;
        say("head " + number(position_) + facts(message_));
        if (message_.switched) answered_ = direction_.hints.size();
    }

    void note_complete() {
        // A message that nothing follows from may have nothing that could be called a head.
        if (stage_ != Stage::body && !(stage_ == Stage::begun && message_.one_way))
            fail("complete out of place");
        stage_ = Stage::idle;
        say("complete " + number(position_) + " body=" + number(message_.body_bytes));
        flush_capture();
        out_.messages.push_back(message_);
        if (direction_.kind == MessageKind::response && !message_.interim && !message_.push)
            ++answered_;
        if (message_.may_switch && !direction_.switches_declined) {
            say("held " + number(position_));
            open_ = false;
        }
    }

    void flush_capture() {
        const auto* chars = reinterpret_cast<const char*>(capture_.data);
        if (capture_.size > 0 || capture_.cut)
            say(std::string(capture_.cut ? "cut " : "capture ") +
                printable(std::string(chars, capture_.size)));
        capture_.size = 0;
        capture_.cut = false;
    }

    void end() {
        flush_capture();
        const bool followed = open_;
        if (!out_.failure.empty() || !followed) return;
        const Verdict verdict = protocol_.finish(state_, message_);
        const bool idle = stage_ == Stage::idle;
        say(std::string("finish ") + verdict_name(verdict) +
            (idle ? "" : " body=" + number(message_.body_bytes)));
        if (idle != (verdict == Verdict::partial))
            fail("finish() does not fit what was said before");
        out_.may_go_on = idle;
    }

    enum class Stage { idle, begun, inserted, body };

    const Direction& direction_;
    const Protocol& protocol_;
    const Reading& reading_;
    GuardedMemory capture_memory_;
    Capture capture_;
    ParserState state_;
    Message message_;
    FieldPiece piece_;
    Transcript out_;
    std::string line_;
    size_t position_ = 0;
    size_t answered_ = 0;
    Stage stage_ = Stage::idle;
    bool in_line_ = false;
    bool open_ = true;
};

std::string difference(const std::string& how, const Transcript& whole, const Transcript& other) {
    if (!other.failure.empty()) return how + ": " + other.failure;
    if (whole.events == other.events) return "";
    return how + ":\n" + other.text() + "whole:\n" + whole.text();
}

}  // namespace

std::string Transcript::text() const {
    std::string out;
    for (const std::string& event : events) out += event + "\n";
    return out;
}

Transcript transcribe(const Direction& direction, const Reading& reading) {
    return Writer(direction, reading).run();
}

std::vector<uint32_t> hints_of(const Transcript& requests) {
    std::vector<uint32_t> hints;
    for (const Message& message : requests.messages)
        if (!message.one_way) hints.push_back(message.answer_hint);
    return hints;
}

std::string compare_readings(const Direction& direction, size_t cuts) {
    const Transcript whole = transcribe(direction);
    if (!whole.failure.empty()) return "whole: " + whole.failure + "\n" + whole.text();
    Reading skipping;
    skipping.use_skip = true;
    std::string found = difference("with skip()", whole, transcribe(direction, skipping));
    Reading bytewise;
    bytewise.piece = [](size_t) { return 1; };
    if (found.empty()) found = difference("byte by byte", whole, transcribe(direction, bytewise));
    const size_t size = direction.bytes.size();
    const size_t step = cuts >= size ? 1 : size / cuts;
    for (size_t cut = 1; cut < size && found.empty(); cut += step) {
        Reading in_two;
        in_two.use_skip = cut % 2 == 0;
        in_two.piece = [size, cut](size_t left) { return left == size ? cut : left; };
        found = difference("cut at " + number(cut), whole, transcribe(direction, in_two));
    }
    return found;
}

}  // namespace remora::test
