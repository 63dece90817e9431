// SPDX-License-Identifier: Apache-2.0
// Responses: one value of any RESP2 or RESP3 type, however deep. Values are counted, not stacked:
// an aggregate of n adds n to what is outstanding. Only aggregates of unknown length ("*?") need a
// frame of their own, because "." ends them. Of an error its code is captured, nothing else.
#include "agent/protocol/redis/state.h"

namespace remora::protocol::redis {
namespace {

constexpr char other_error[] = "_OTHER";

enum class Shape : uint8_t { unknown, line, bulk, aggregate };

Shape shape_of(uint8_t type) noexcept {
    switch (type) {
        case '+':
        case '-':
        case ':':
        case ',':
        case '#':
        case '_':
        case '(': return Shape::line;
        case '$':
        case '!':
        case '=': return Shape::bulk;
        case '*':
        case '~':
        case '%':
        case '|':
        case '>': return Shape::aggregate;
        default: return Shape::unknown;
    }
}

// Within the frames, is the next value the answer itself? Not a member, nor inside an attribute.
bool at_top(const State& state) noexcept {
    return state.depth == 0 && state.pending[0] == 1 && !state.head_done;
}

// "MOVED", "WRONGTYPE". Scripts and modules may answer with any text; that is not for a span.
bool is_error_code(ByteView word) noexcept {
    if (word.empty() || word[0] < 'A' || word[0] > 'Z') return false;
    for (size_t i = 0; i < word.size; ++i) {
        const uint8_t c = word[i];
        if (!(c >= 'A' && c <= 'Z') && !ascii_digit(c) && c != '_' && c != '-') return false;
    }
    return true;
}

// A value is complete. true: the message is.
bool value_done(State& state) noexcept {
    state.stage = Stage::type;
    return --state.pending[state.depth] == 0 && state.depth == 0;
}

// "." ends the innermost aggregate of unknown length.
Verdict begin_end(State& state) noexcept {
    if (state.depth == 0 || state.pending[state.depth] != 0) return Verdict::invalid;
    state.type = '.';
    state.stage = Stage::body_end;
    state.carriage_return = false;
    return Verdict::partial;
}

void finish_head(Parse& parse, State& state) noexcept {
    state.head_done = true;
    // After an error nothing streams.
    if (parse.answer_hint == hint_stream_follows) state.ends_following = !parse.message.error;
}

// The type byte of a value.
Verdict begin_value(Parse& parse, State& state, uint8_t type) noexcept {
    if (type == '.') return begin_end(state);
    // In an aggregate of unknown length each member is announced by nothing but itself.
    uint32_t& pending = state.pending[state.depth];
    if (pending == 0) pending = 1;

    const bool top = at_top(state);
    const Shape shape = shape_of(type);
    if (shape == Shape::unknown || (type == '>' && !top)) return Verdict::invalid;
    const bool error = type == '-' || type == '!';
    if (shape != Shape::line) {
        expect_number(state, type);
    } else {
        state.type = type;
        state.stage = top && error ? Stage::error_word : Stage::line;
        state.carriage_return = false;
    }
    if (top && error) {
        parse.message.error = true;
        start_word(state);
        return Verdict::partial;  // the head ends with the code
    }
    if (!top || type == '|') return Verdict::partial;
    finish_head(parse, state);
    return Verdict::head;
}

Verdict begin_streamed(State& state) noexcept {
    if (state.type == '$') {
        state.chunks = true;
        state.stage = Stage::type;
        return Verdict::partial;
    }
    const bool allowed = state.type == '*' || state.type == '~' || state.type == '%';
    if (!allowed || state.depth == streamed_depth) return Verdict::invalid;
    state.pending[++state.depth] = 0;
    state.stage = Stage::type;
    return Verdict::partial;
}

Verdict begin_aggregate(State& state) noexcept {
    if (state.left > count_limit) return Verdict::invalid;
    const bool pairs = state.type == '%' || state.type == '|';
    const uint64_t values = pairs ? state.left * 2 : state.left;
    const uint64_t pending = state.pending[state.depth] + values;
    if (pending > pending_limit) return Verdict::invalid;
    state.pending[state.depth] = static_cast<uint32_t>(pending);
    state.stage = Stage::type;
    if (state.type == '|') return Verdict::partial;  // an attribute precedes a value, it is none
    return value_done(state) ? Verdict::complete : Verdict::partial;
}

Verdict begin_bulk(State& state, bool error_at_top) noexcept {
    if (state.left > length_limit) return Verdict::invalid;
    if (state.type == ';' && state.left == 0) {  // the last chunk has no body
        state.chunks = false;
        return value_done(state) ? Verdict::complete : Verdict::partial;
    }
    state.stage = error_at_top ? Stage::word : Stage::body;
    return Verdict::partial;
}

Verdict after_number(Parse& parse, State& state) noexcept {
    if (state.unknown_length) return begin_streamed(state);
    if (state.negative) {  // RESP2's null
        const bool null = state.left == 1 && (state.type == '$' || state.type == '*');
        if (!null) return Verdict::invalid;
        return value_done(state) ? Verdict::complete : Verdict::partial;
    }
    if (shape_of(state.type) == Shape::aggregate) return begin_aggregate(state);
    return begin_bulk(state, state.type == '!' && parse.message.error && !state.head_done);
}

Verdict take_error_code(Parse& parse, State& state) noexcept {
    const ByteView word{state.word, state.word_size};
    const bool known = !state.word_overflow && is_error_code(word);
    capture_line(parse.capture, known ? word : ByteView(other_error));
    finish_head(parse, state);
    return Verdict::head;
}

// The first word of a "-" line. The byte that ends it is left to the line.
Verdict read_error_line(Parse& parse, State& state, ByteView input, size_t& at) noexcept {
    while (at < input.size) {
        const uint8_t c = input[at];
        if (c == ' ' || c == '\r' || c == '\n') {
            state.stage = Stage::line;
            return take_error_code(parse, state);
        }
        add_to_word(state, c);
        ++at;
    }
    return Verdict::partial;
}

// The first word of a "!" string.
Verdict read_error_bulk(Parse& parse, State& state, ByteView input, size_t& at) noexcept {
    while (at < input.size && state.left > 0) {
        const uint8_t c = input[at];
        if (c == ' ') {
            state.stage = Stage::body;
            return take_error_code(parse, state);
        }
        add_to_word(state, c);
        ++at;
        --state.left;
        ++parse.message.body_bytes;
    }
    return Verdict::partial;
}

// ";<length>\r\n" begins a chunk of a string of unknown length.
Verdict begin_chunk(State& state, uint8_t type) noexcept {
    if (type != ';') return Verdict::invalid;
    expect_number(state, ';');
    return Verdict::partial;
}

// After the CR LF of a bulk string, or of ".".
Verdict end_bulk(State& state) noexcept {
    state.stage = Stage::type;
    if (state.type == '.') --state.depth;
    if (state.chunks) return Verdict::partial;  // more chunks of the same value
    return value_done(state) ? Verdict::complete : Verdict::partial;
}

// One step within a message. `partial` here: go on.
Verdict advance(Parse& parse, State& state, ByteView input, size_t& at) noexcept {
    Progress progress = Progress::more;
    switch (state.stage) {
        case Stage::type:
            return state.chunks ? begin_chunk(state, input[at++])
                                : begin_value(parse, state, input[at++]);
        case Stage::error_word: return read_error_line(parse, state, input, at);
        case Stage::word: return read_error_bulk(parse, state, input, at);
        case Stage::body: pass_body(state, parse.message, input, at); return Verdict::partial;
        case Stage::number: progress = read_number(state, input, at); break;
        case Stage::line: progress = pass_line(state, input, at); break;
        case Stage::body_end: progress = read_line_end(state, input, at); break;
        case Stage::idle: return Verdict::invalid;
    }
    if (progress == Progress::bad) return Verdict::invalid;
    if (progress == Progress::more) return Verdict::partial;
    if (state.stage == Stage::number) return after_number(parse, state);
    if (state.stage == Stage::body_end) return end_bulk(state);
    return value_done(state) ? Verdict::complete : Verdict::partial;
}

// The end of a bulk string needs no further byte to be seen.
Verdict end_body(Parse& parse, State& state) noexcept {
    const bool in_word = state.stage == Stage::word;
    if ((!in_word && state.stage != Stage::body) || state.left > 0) return Verdict::partial;
    state.stage = Stage::body_end;
    state.carriage_return = false;
    return in_word ? take_error_code(parse, state) : Verdict::partial;
}

Step begin_message(Parse& parse, State& state, uint8_t type) noexcept {
    if (shape_of(type) == Shape::unknown) return {Verdict::invalid, 0};
    const bool push = type == '>';
    // What answers no request and is no push can't be told apart from an answer later on.
    if (parse.answers_nothing && !push) {
        state.stopped = true;
        return {Verdict::ignored, 0};
    }
    state = State{};
    parse.message = Message{};
    // The answer to SUBSCRIBE and its kin may come as a push.
    parse.message.push = push && parse.answer_hint != hint_stream_follows;
    state.stage = Stage::type;
    state.pending[0] = 1;
    return {Verdict::begin, 0};
}

}  // namespace

Step parse_response(Parse& parse, ByteView input) noexcept {
    State& state = parse.state.as<State>();
    if (state.stage == Stage::idle) return begin_message(parse, state, input[0]);
    size_t at = 0;
    while (at < input.size) {
        const size_t before = at;
        const bool in_head = !state.head_done;
        Verdict verdict = advance(parse, state, input, at);
        if (verdict == Verdict::partial) verdict = end_body(parse, state);
        if (in_head) parse.message.head_bytes += static_cast<uint32_t>(at - before);
        if (verdict != Verdict::partial) return {verdict, at};
    }
    return {Verdict::partial, at};
}

}  // namespace remora::protocol::redis
