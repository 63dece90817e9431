// SPDX-License-Identifier: Apache-2.0
// Requests: "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n". The command's name is captured, arguments never
// are: a second word only where the first is known to take a subcommand.
#include "agent/protocol/redis/state.h"

namespace remora::protocol::redis {
namespace {

constexpr char other_name[] = "_OTHER";

// Commands whose first argument is part of their name ("CONFIG GET"). Arrays of characters: they
// need neither a constructor nor a relocation.
constexpr char containers[][11] = {"ACL",      "CLIENT",   "CLUSTER", "COMMAND", "CONFIG", "DEBUG",
                                   "FUNCTION", "LATENCY",  "MEMORY",  "MODULE",  "OBJECT", "PUBSUB",
                                   "SCRIPT",   "SENTINEL", "SLOWLOG", "XGROUP",  "XINFO"};
// Commands after which the server sends what answers no request.
constexpr char streams[][11] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE",
                                "MONITOR",   "SYNC",       "PSYNC"};

template <size_t N>
bool contains(const char (&list)[N][11], ByteView word) noexcept {
    for (const char* entry : list)
        if (word == ByteView{entry, strlen(entry)}) return true;
    return false;
}

bool is_letter(uint8_t c) noexcept { return c >= 'A' && c <= 'Z'; }

// Names of modules' commands hold a dot ("FT.SEARCH").
bool is_command_name(ByteView word) noexcept {
    if (word.empty() || !is_letter(word[0])) return false;
    for (size_t i = 0; i < word.size; ++i) {
        const uint8_t c = word[i];
        if (!is_letter(c) && !ascii_digit(c) && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

bool is_subcommand_name(ByteView word) noexcept {
    if (word.empty() || !is_letter(word[0])) return false;
    for (size_t i = 0; i < word.size; ++i)
        if (!is_letter(word[i]) && word[i] != '-') return false;
    return true;
}

// A recorded word is complete. true: the name is, and it is captured.
bool take_word(Parse& parse, State& state) noexcept {
    const ByteView word{state.word, state.word_size};
    if (!state.container) {
        const bool known = !state.word_overflow && is_command_name(word);
        if (known && contains(containers, word) && state.pending[0] > 1) {
            state.container = true;  // its name stays in state.word, the next word goes behind it
            return false;
        }
        if (known && contains(streams, word)) parse.message.answer_hint = hint_stream_follows;
        capture_line(parse.capture, known ? word : ByteView(other_name));
        return true;
    }
    // state.word is "CONFIG GET": the container's name ends at the blank.
    size_t blank = 0;
    while (blank < word.size && word[blank] != ' ') ++blank;
    const ByteView name = word.first(blank);
    const ByteView subcommand = word.from(blank + 1);
    const bool known = !state.word_overflow && is_subcommand_name(subcommand);
    // After CLIENT REPLY OFF or SKIP answers no longer pair with requests.
    if (known && word == ByteView("CLIENT REPLY")) {
        parse.message.one_way = true;
        state.ends_following = true;
    }
    capture_line(parse.capture, name, known ? subcommand : ByteView{});
    return true;
}

// After "*<count>\r\n". false: not a request.
bool begin_arguments(State& state, Message& message, bool& empty) noexcept {
    if (state.unknown_length || state.left > count_limit) return false;
    empty = state.negative || state.left == 0;
    if (empty) {
        message.one_way = true;  // the server passes over an empty array without a word
        return true;
    }
    state.pending[0] = static_cast<uint32_t>(state.left);
    state.stage = Stage::type;
    return true;
}

// After "$<length>\r\n". false: not a request.
bool begin_argument(State& state) noexcept {
    if (state.unknown_length || state.negative || state.left > length_limit) return false;
    if (state.head_done) {
        state.stage = Stage::body;
        return true;
    }
    state.stage = Stage::word;
    if (state.container)
        add_to_word(state, ' ');
    else
        start_word(state);
    return true;
}

void read_word(State& state, Message& message, ByteView input, size_t& at) noexcept {
    const size_t begin = at;
    pass_body(state, message, input, at);
    for (size_t i = begin; i < at && !state.word_overflow; ++i) {
        const uint8_t c = input[i];
        add_to_word(state, c >= 'a' && c <= 'z' ? static_cast<uint8_t>(c - 0x20) : c);
    }
}

Step begin_message(State& state, Message& message, ByteView input) noexcept {
    if (input[0] != '*') return {Verdict::invalid, 0};
    state = State{};
    message = Message{};
    state.stage = Stage::type;
    return {Verdict::begin, 0};
}

// Where a number has been read. `partial` here: go on.
Verdict after_number(State& state, Message& message) noexcept {
    if (state.type == '$') return begin_argument(state) ? Verdict::partial : Verdict::invalid;
    bool empty = false;
    if (!begin_arguments(state, message, empty)) return Verdict::invalid;
    return empty ? Verdict::complete : Verdict::partial;
}

// One step within a message. `partial` here: go on.
Verdict advance(Parse& parse, State& state, ByteView input, size_t& at) noexcept {
    switch (state.stage) {
        case Stage::type: {
            const uint8_t expected = state.pending[0] == 0 ? '*' : '$';
            if (input[at++] != expected) return Verdict::invalid;
            expect_number(state, expected);
            return Verdict::partial;
        }
        case Stage::number:
            switch (read_number(state, input, at)) {
                case Progress::bad: return Verdict::invalid;
                case Progress::more: return Verdict::partial;
                case Progress::done: return after_number(state, parse.message);
            }
            return Verdict::invalid;
        case Stage::word: read_word(state, parse.message, input, at); return Verdict::partial;
        case Stage::body: pass_body(state, parse.message, input, at); return Verdict::partial;
        case Stage::body_end:
            switch (read_line_end(state, input, at)) {
                case Progress::bad: return Verdict::invalid;
                case Progress::more: return Verdict::partial;
                case Progress::done: break;
            }
            state.stage = Stage::type;
            return --state.pending[0] == 0 ? Verdict::complete : Verdict::partial;
        default: return Verdict::invalid;
    }
}

// The end of a bulk string needs no further byte to be seen. true: the head ends here.
bool end_body(Parse& parse, State& state) noexcept {
    const bool ended =
        (state.stage == Stage::word || state.stage == Stage::body) && state.left == 0;
    if (!ended) return false;
    const bool head_ends = state.stage == Stage::word && take_word(parse, state);
    state.stage = Stage::body_end;
    state.carriage_return = false;
    if (head_ends) state.head_done = true;
    return head_ends;
}

}  // namespace

Step parse_request(Parse& parse, ByteView input) noexcept {
    State& state = parse.state.as<State>();
    if (state.stage == Stage::idle) return begin_message(state, parse.message, input);
    size_t at = 0;
    while (at < input.size) {
        const size_t before = at;
        const bool in_head = !state.head_done;
        const Verdict verdict = advance(parse, state, input, at);
        if (in_head) parse.message.head_bytes += static_cast<uint32_t>(at - before);
        if (verdict != Verdict::partial) return {verdict, at};
        if (end_body(parse, state)) return {Verdict::head, at};
    }
    return {Verdict::partial, at};
}

}  // namespace remora::protocol::redis
