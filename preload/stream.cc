// SPDX-License-Identifier: Apache-2.0
#include "preload/stream.h"

#include "preload/exchange_life.h"
#include "preload/opening.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

// The first bytes tell the protocol and who speaks it; until they do, at most 24 of them are kept.
// false: nothing of ours, the connection is opaque from now on.
bool detect(Conn& conn, unsigned direction, ByteView bytes, const Protocol*& found) noexcept {
    uint8_t first[sizeof(conn.prefix)];
    memcpy(first, conn.prefix, conn.prefix_size);
    const ByteView more = bytes.first(sizeof(first) - conn.prefix_size);
    memcpy(first + conn.prefix_size, more.data, more.size);
    const ByteView known{first, conn.prefix_size + more.size};

    bool maybe = false;
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i) {
        const Detection detection = all.data[i]->detect(known);
        if (detection == Detection::yes) {
            const bool client = direction == REMORA_DIRECTION_SENT;
            if (client ? !all.data[i]->calls : !all.data[i]->serves) return false;
            found = all.data[i];
            conn.role = client ? REMORA_ROLE_CLIENT : REMORA_ROLE_SERVER;
            return true;
        }
        maybe = maybe || detection == Detection::maybe;
    }
    return maybe && known.size < sizeof(first);
}

void start_following(Conn& conn, const Protocol* protocol) noexcept {
    conn.protocol = protocol;
    conn.follow = Follow::following;
    conn.requests().kind = MessageKind::request;
    conn.responses().kind = MessageKind::response;
    if (conn.role == REMORA_ROLE_SERVER) note_server();
}

// A piece of a trace field: its value is gathered, and where its line stands is noted.
void take_field(Conn& conn, Direction& direction, const FieldPiece& piece, ByteView input,
                size_t base, Call& call) noexcept {
    if (direction.kind != MessageKind::request) return;
    conn.collector.add(piece.field, piece.value, piece.begins, piece.ends);
    if (call.line_was_removed(base, piece)) return;
    HeadLines& lines = call.lines;
    if (call.lines_earlier || !piece.begins || !piece.ends ||
        piece.line_begin == FieldPiece::nowhere || piece.line_end == FieldPiece::nowhere ||
        lines.count == HeadLines::max_lines) {
        lines.outside = true;
        return;
    }
    const ByteView value = trim_blanks(piece.value);
    const size_t value_at = value.size > 0 ? static_cast<size_t>(value.data - input.data)
                                           : static_cast<size_t>(piece.value.data - input.data);
    lines.fields[lines.count] = piece.field;
    lines.lines[lines.count++] = {base + piece.line_begin, base + piece.line_end, base + value_at,
                                  value.size};
}

void message_begins(Conn& conn, Direction& direction, Call& call) noexcept {
    direction.in_message = direction.in_head = true;
    direction.cut = false;
    if (direction.kind == MessageKind::request) {
        call.lines.clear();
        direction.lines_passed = false;
        begin_request(conn, direction, call);
    } else {
        begin_response(conn, direction, call);
    }
}

void head_ends(Conn& conn, Direction& direction, Call& call) noexcept {
    direction.in_head = false;
    if (direction.kind == MessageKind::request) {
        decide(conn, direction, call);  // where the protocol has no insert point
        request_head(conn, direction);
    } else if (direction.message.switched) {
        // While its request is still on its way out, the cleanup ends it.
        if (direction.current != 0 && request_is_done(direction.current))
            finish_exchange(conn, direction.current, REMORA_END_TUNNEL, 0, call.now());
        direction.current = 0;
        abandon(conn, REMORA_END_TUNNEL, 0);
    }
}

void message_ends(Conn& conn, Direction& direction, Call& call) noexcept {
    direction.in_message = direction.in_head = false;
    if (direction.kind == MessageKind::request)
        request_complete(conn, direction, call);
    else
        response_complete(conn, direction, call);
}

Parse make_parse(Conn& conn, Direction& direction, const Exchange* answered,
                 Capture& capture) noexcept {
    Parse parse{direction.parser, direction.message, capture, direction.kind};
    parse.named = named_fields(conn.role, direction.kind);
    if (direction.kind == MessageKind::response) {
        if (answered == nullptr && conn.first != 0) answered = &exchange_at(conn.first);
        parse.answers_nothing = answered == nullptr;
        if (answered != nullptr) parse.answer_hint = answered->answer_hint;
    }
    return parse;
}

// A request or response byte in a state where none can be followed.
void give_up(Conn& conn, remora_loss reason) noexcept {
    count_loss(reason);
    abandon(conn, REMORA_END_UNFOLLOWED, 0);
}

// A head goes on in another call: the trace lines that went by can't be edited any more.
void head_stays_open(Direction& direction, const Call& call) noexcept {
    if (direction.in_head && (call.lines.count > 0 || call.lines.outside))
        direction.lines_passed = true;
}

// Verdicts end in at most as many rounds as there are bytes, but for `begin` and `insert`, which
// may consume nothing once per message.
void parse_all(Conn& conn, Direction& direction, ByteView input, size_t base, Call& call) noexcept {
    while (input.size > 0 && !conn.opaque.load(std::memory_order_relaxed)) {
        if (conn.held && direction.kind == MessageKind::request && !direction.in_message)
            return give_up(conn, REMORA_LOSS_parser_gave_up);
        Exchange* exchange = direction.current != 0 ? &exchange_at(direction.current) : nullptr;
        Capture capture = capture_of(direction.kind, exchange);
        Parse parse = make_parse(conn, direction, exchange, capture);
        const Step step = conn.protocol->parse(parse, input);
        if (exchange != nullptr) {
            if (capture.data != nullptr) keep_capture(direction, *exchange, capture);
            count_bytes(direction.kind, *exchange, step.consumed);
        }
        switch (step.verdict) {
            case Verdict::partial: return;
            case Verdict::begin: message_begins(conn, direction, call); break;
            case Verdict::field: take_field(conn, direction, parse.field, input, base, call); break;
            case Verdict::insert:
                call.insert_at = base + step.consumed;
                decide(conn, direction, call);
                call.insert_at = FieldPiece::nowhere;
                break;
            case Verdict::head: head_ends(conn, direction, call); break;
            case Verdict::complete: message_ends(conn, direction, call); break;
            case Verdict::invalid: return give_up(conn, REMORA_LOSS_parser_gave_up);
            case Verdict::ignored: return abandon(conn, REMORA_END_UNFOLLOWED, 0);
        }
        input = input.from(step.consumed);
        base += step.consumed;
    }
}

}  // namespace

bool may_begin_message(const Conn& conn, ByteView bytes) noexcept {
    if (conn.prefix_size > 0 || bytes.size == 0) return true;
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i)
        if (all.data[i]->detect(bytes.first(sizeof(conn.prefix))) != Detection::no) return true;
    return false;
}

bool head_may_go_out(const Conn& conn, ByteView first, size_t total) noexcept {
    if (conn.follow == Follow::fresh) {  // where we didn't see who opened it, it may be a client's
        if (conn.accepted && conn.born_seen && conn.prefix_size == 0) return false;
        return may_begin_message(conn, first);
    }
    if (conn.role != REMORA_ROLE_CLIENT || !conn.protocol->injects) return false;
    const Direction& direction = conn.directions[REMORA_DIRECTION_SENT];
    if (!direction.in_message || direction.in_head) return true;
    return conn.protocol->body_left(direction.parser) < total;
}

bool head_may_come(const Conn& conn) noexcept {
    if (conn.follow == Follow::fresh)  // not where we saw the program connect
        return conn.accepted || !conn.born_seen;
    const Direction& direction = conn.directions[REMORA_DIRECTION_RECEIVED];
    return conn.role == REMORA_ROLE_SERVER && conn.protocol->injects &&
           (!direction.in_message || direction.in_head);
}

uint64_t Call::now() noexcept {
    if (time == 0) time = monotonic_now();
    return time;
}

bool Call::line_was_removed(size_t base, const FieldPiece& piece) const noexcept {
    if (removed == nullptr || piece.line_begin == FieldPiece::nowhere) return false;
    for (unsigned i = 0; i < removed_count; ++i)
        if (removed->edits[i].at == base + piece.line_begin && removed->edits[i].text_size == 0)
            return true;
    return false;
}

void feed(Conn& conn, unsigned which, ByteView bytes, size_t base, Call& call) noexcept {
    if (bytes.size == 0) return;
    Direction& direction = conn.directions[which];
    if (conn.follow == Follow::fresh) {
        // Both sides spoke before either said anything that we know.
        if (conn.prefix_size > 0 && conn.prefix_direction != which)
            return abandon(conn, REMORA_END_UNFOLLOWED, 0);
        const Protocol* protocol = nullptr;
        if (!detect(conn, which, bytes, protocol)) {
            note_first_bytes(conn, call.fd, bytes);
            return abandon(conn, REMORA_END_UNFOLLOWED, 0);
        }
        if (protocol == nullptr) {
            memcpy(conn.prefix + conn.prefix_size, bytes.data, bytes.size);
            conn.prefix_size = static_cast<uint8_t>(conn.prefix_size + bytes.size);
            conn.prefix_direction = static_cast<uint8_t>(which);
            return;
        }
        start_following(conn, protocol);
        if (conn.prefix_size > 0) {
            uint8_t prefix[sizeof(conn.prefix)];
            memcpy(prefix, conn.prefix, conn.prefix_size);
            const ByteView earlier{prefix, conn.prefix_size};
            conn.prefix_size = 0;
            call.lines_earlier = true;
            parse_all(conn, direction, earlier, 0, call);
            call.lines_earlier = false;
        }
    }
    parse_all(conn, direction, bytes, base, call);
    touch_activity(conn, direction, call);
}

void call_ends(Conn& conn, unsigned which, const Call& call) noexcept {
    head_stays_open(conn.directions[which], call);
}

void feed_unseen(Conn& conn, unsigned which, uint64_t count, Call& call) noexcept {
    Direction& direction = conn.directions[which];
    if (conn.follow == Follow::fresh) return abandon(conn, REMORA_END_UNFOLLOWED, 0);
    while (count > 0) {
        const uint64_t left = conn.protocol->body_left(direction.parser);
        if (left == 0) return give_up(conn, REMORA_LOSS_body_unseen);
        const uint64_t part = count < left ? count : left;
        const Verdict verdict = conn.protocol->skip(direction.parser, direction.message, part);
        if (direction.current != 0)
            count_bytes(direction.kind, exchange_at(direction.current), part);
        if (verdict == Verdict::invalid) return give_up(conn, REMORA_LOSS_body_unseen);
        if (verdict == Verdict::complete) message_ends(conn, direction, call);
        count -= part;
    }
    touch_activity(conn, direction, call);
}

void end_of_stream(Conn& conn, unsigned which, Call& call) noexcept {
    Direction& direction = conn.directions[which];
    if (which == REMORA_DIRECTION_RECEIVED) conn.peer_closed = true;
    if (conn.follow == Follow::fresh || !direction.in_message) {
        if (which == REMORA_DIRECTION_RECEIVED && conn.role == REMORA_ROLE_CLIENT && conn.open > 0)
            abandon(conn, REMORA_END_PEER, 0);
        return;
    }
    const Verdict verdict = conn.protocol->finish(direction.parser, direction.message);
    if (verdict == Verdict::complete) message_ends(conn, direction, call);
    // A server whose client has shut down its side may still answer; a client gets no more answers.
    if (which == REMORA_DIRECTION_RECEIVED && conn.role == REMORA_ROLE_CLIENT && conn.open > 0)
        abandon(conn, REMORA_END_PEER, 0);
}

void call_failed(Conn& conn, unsigned which, int error_number) noexcept {
    if (conn.follow == Follow::fresh) note_attempt_failed(conn, error_number);
    // A client whose request can't be sent may still have an answer to read.
    if (which == REMORA_DIRECTION_SENT && conn.role == REMORA_ROLE_CLIENT)
        conn.error_number = error_number;
    else if (conn.open > 0)
        abandon(conn, REMORA_END_ERROR, error_number);
}

void finish_open_exchanges(Conn& conn, bool closed) noexcept {
    if (closed) end_opening(conn);
    if (conn.epoch != process_epoch()) return;  // our parent's
    Call call;
    uint8_t end = conn.abandoned_end;
    if (end == 0 && conn.opaque.load(std::memory_order_relaxed)) end = REMORA_END_UNFOLLOWED;
    if (closed && conn.follow == Follow::following && end == 0 && conn.role == REMORA_ROLE_SERVER)
        end_of_stream(conn, REMORA_DIRECTION_SENT, call);
    if (end == 0)
        end = conn.error_number != 0 ? REMORA_END_ERROR
              : conn.peer_closed     ? REMORA_END_PEER
                                     : REMORA_END_LOCAL;
    for (unsigned i = 0; conn.first != 0 && i < max_open_exchanges; ++i)
        finish_exchange(conn, conn.first, static_cast<remora_end>(end), conn.error_number,
                        call.now());
    conn.directions[0].current = conn.directions[1].current = 0;
    free_tracestate(conn.tracestate);
    conn.tracestate = 0;
    if (closed) free_pending_text(conn.pending_buffer);
}

void save(const Conn& conn, unsigned which, Checkpoint& out) noexcept {
    out.direction = conn.directions[which];
    out.collector = conn.collector;
    out.protocol = conn.protocol;
    out.sequence = conn.sequence;
    out.follow = conn.follow;
    out.role = conn.role;
    out.prefix_size = conn.prefix_size;
    out.held = conn.held;
    out.other_kind = conn.directions[1 - which].kind;
    if (out.direction.current == 0) return;
    const Exchange& exchange = exchange_at(out.direction.current);
    out.request_captured = exchange.request_captured;
    out.request_bytes = exchange.request_bytes;
    out.request_body_bytes = exchange.request_body_bytes;
}

namespace {

// The exchange that was open before the call forgets what the first pass told it.
void take_back(DirectionState& direction, const Checkpoint& saved) noexcept {
    if (direction.current == 0) return;
    Exchange& exchange = exchange_at(direction.current);
    exchange.request_planned = false;
    // Once decided, the text of its head is complete and stays.
    if (!exchange.decided) exchange.request_captured = saved.request_captured;
    exchange.request_bytes = saved.request_bytes;
    exchange.request_body_bytes = saved.request_body_bytes;
}

}  // namespace

void keep_plan(Conn& conn, const Checkpoint& saved, Call& call) noexcept {
    call.planning = false;
    if (saved.direction.current != 0) settle_planned(conn, saved.direction.current, call);
    for (uint32_t index = call.begun_first; index != 0;) {
        const uint32_t next = index == call.begun_last ? 0 : exchange_at(index).next;
        settle_planned(conn, index, call);  // may end its life
        index = next;
    }
}

void go_back(Conn& conn, unsigned which, const Checkpoint& saved, Call& call) noexcept {
    static_cast<DirectionState&>(conn.directions[which]) = saved.direction;
    take_back(conn.directions[which], saved);
    conn.collector = saved.collector;
    conn.protocol = saved.protocol;
    conn.sequence = saved.sequence;
    conn.follow = saved.follow;
    conn.role = saved.role;
    conn.prefix_size = saved.prefix_size;
    conn.held = saved.held;
    conn.directions[1 - which].kind = saved.other_kind;
    call.planning = false;
    call.replaying = true;
    call.replay = call.begun_first;
    call.begun_first = call.begun_last = 0;
    call.edits = nullptr;
}

void end_replay(Conn& conn, Call& call) noexcept {
    while (call.replay != 0) {
        const uint32_t next = exchange_at(call.replay).next;
        if (!withdraw_exchange(conn, call.replay)) {
            abandon(conn, REMORA_END_UNFOLLOWED, 0);
            break;
        }
        call.replay = next;
    }
    call.replaying = false;
}

}  // namespace remora::shim
