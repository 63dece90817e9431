// SPDX-License-Identifier: Apache-2.0
#include "agent/connection/connection.h"

#include <algorithm>
#include <cstring>

namespace remora {

Connection::~Connection() {
    for (PendingExchange* exchange : open_) world_.pool.give_back(exchange);
}

// --- records -------------------------------------------------------------------------------------

void Connection::opened(const remora_open_record& record) {
    open_record_ = record;
    open_seen_ = true;
    if (role_ == REMORA_ROLE_UNKNOWN) role_ = record.role;
    activity_ns_ = now_ = record.header.time_ns;
}

void Connection::data(const remora_data_record& record, ByteView bytes) {
    if (follow_ == Follow::nothing) return;
    // A write that was cut into several records stands in all of them with the same time.
    const bool same_call = record.header.time_ns == call_.header.time_ns &&
                           record.direction == call_.direction && record.thread == call_.thread;
    if (!same_call) batch_ = nullptr;
    call_ = record;
    activity_ns_ = now_ = record.header.time_ns;
    Stream& stream = streams_[record.direction];
    if (!align(stream, record)) return;
    if (follow_ == Follow::fresh) {
        if (!detect(record.direction, bytes)) return;
    } else {
        feed(stream, bytes);
    }
    stream.position += record.length;
    if (record.length > bytes.size)
        unseen(stream, record.length - bytes.size, REMORA_LOSS_stream_gap);
}

// Brings the stream to where the record's bytes begin; false: it can't be followed any more.
bool Connection::align(Stream& stream, const remora_data_record& record) {
    if (record.position == UINT64_MAX) return true;
    if (!stream.started) {
        stream.started = true;
        // A connection that was there before us: we begin where we are.
        if (!open_seen_) stream.position = record.position;
    }
    if (record.position < stream.position) {
        give_up(REMORA_LOSS_stream_gap);
        return false;
    }
    const uint64_t hole = record.position - stream.position;
    stream.position = record.position;
    if (hole > 0) unseen(stream, hole, REMORA_LOSS_stream_gap);
    return follow_ != Follow::nothing;
}

// Bytes went by that we don't have: no harm within a body, the end of the story elsewhere.
void Connection::unseen(Stream& stream, uint64_t count, remora_loss reason) {
    if (follow_ == Follow::nothing) return;
    if (follow_ == Follow::fresh || !held_.empty()) return give_up(reason);
    while (count > 0) {
        const uint64_t left = protocol_->body_left(stream.parser);
        if (left == 0) return give_up(reason);
        const uint64_t part = std::min(count, left);
        const Verdict verdict = protocol_->skip(stream.parser, stream.message, part);
        if (stream.current != nullptr)
            (stream.kind == MessageKind::request ? stream.current->record.request_bytes
                                                 : stream.current->record.response_bytes) += part;
        if (verdict == Verdict::invalid) return give_up(reason);
        if (verdict == Verdict::complete) message_ends(stream);
        count -= part;
    }
}

void Connection::closed(const remora_close_record& record) {
    now_ = record.header.time_ns;
    if (follow_ == Follow::following) {
        // A response without a length ends with the stream: the server's, closed by it.
        const bool by_server = role_ == REMORA_ROLE_SERVER ? record.end == REMORA_END_LOCAL
                                                           : record.end == REMORA_END_PEER;
        if (by_server) stream_ends(responses());
    }
    end(static_cast<remora_end>(record.end), record.error_number, now_);
}

void Connection::end(remora_end how, int error_number, uint64_t now) {
    now_ = now;
    while (!open_.empty()) finish(*open_.front(), how, error_number);
    follow_ = Follow::nothing;
    held_.clear();
}

void Connection::end_idle(uint64_t limit) {
    if (activity_ns_ >= limit) return;
    for (PendingExchange* exchange : open_) {
        if (exchange->record.activity_ns >= limit) continue;
        report(*exchange, REMORA_END_IDLE, 0, exchange->record.activity_ns);
    }
}

void Connection::give_up(remora_loss reason) {
    world_.next.on_loss(reason, 1);
    end(REMORA_END_UNFOLLOWED, 0, now_);
}

// --- from bytes to messages ----------------------------------------------------------------------

// The first bytes tell the protocol and who speaks it. False: nothing of ours.
bool Connection::detect(unsigned direction, ByteView bytes) {
    if (prefix_size_ == 0) {
        prefix_direction_ = static_cast<uint8_t>(direction);
        prefix_time_ns_ = now_;
    } else if (prefix_direction_ != direction) {
        end(REMORA_END_UNFOLLOWED, 0, now_);  // both spoke before either said what we know
        return false;
    }
    const ByteView earlier{prefix_, prefix_size_};
    const ByteView more = bytes.first(sizeof(prefix_) - prefix_size_);
    std::copy_n(more.data, more.size, prefix_ + prefix_size_);
    const ByteView known{prefix_, prefix_size_ + more.size};

    bool maybe = false;
    const ProtocolList all = protocols();
    for (size_t i = 0; i < all.size; ++i) {
        const Detection detection = all.data[i]->detect(known);
        maybe = maybe || detection == Detection::maybe;
        if (detection != Detection::yes) continue;
        if (!begin_following(direction, *all.data[i])) break;
        now_ = earlier.empty() ? now_ : prefix_time_ns_;
        feed(streams_[direction], earlier);
        now_ = call_.header.time_ns;
        feed(streams_[direction], bytes);
        return true;
    }
    if (follow_ == Follow::fresh && maybe && known.size < sizeof(prefix_)) {
        prefix_size_ = static_cast<uint8_t>(known.size);
        return true;
    }
    end(REMORA_END_UNFOLLOWED, 0, now_);
    return false;
}

// Who speaks first is the client.
bool Connection::begin_following(unsigned direction, const Protocol& protocol) {
    const uint8_t role =
        direction == REMORA_DIRECTION_SENT ? REMORA_ROLE_CLIENT : REMORA_ROLE_SERVER;
    if (role_ != REMORA_ROLE_UNKNOWN && role_ != role) return false;
    if (role == REMORA_ROLE_CLIENT ? !protocol.calls : !protocol.serves) return false;
    role_ = role;
    protocol_ = &protocol;
    follow_ = Follow::following;
    requests().kind = MessageKind::request;
    responses().kind = MessageKind::response;
    return true;
}

void Connection::feed(Stream& stream, ByteView bytes) {
    if (holding_ && stream.kind == MessageKind::request && !stream.in_message) {
        if (held_.size() + bytes.size > held_max) return give_up(REMORA_LOSS_parser_gave_up);
        held_.append(bytes.chars(), bytes.size);
        return;
    }
    parse_all(stream, bytes);
    if (stream.current != nullptr) stream.current->record.activity_ns = now_;
}

// Every round consumes bytes, but for `begin` and `insert`, which may consume none once a message.
void Connection::parse_all(Stream& stream, ByteView input) {
    while (input.size > 0 && follow_ == Follow::following) {
        if (holding_ && stream.kind == MessageKind::request && !stream.in_message)
            return feed(stream, input);
        Capture capture = capture_for(stream);
        Parse parse{stream.parser, stream.message, capture, stream.kind};
        const NamedFields named = named_fields(stream.kind);
        parse.named = &named;
        if (stream.kind == MessageKind::response) {
            const PendingExchange* answered = stream.current != nullptr ? stream.current
                                              : open_.empty()           ? nullptr
                                                                        : open_.front();
            parse.answers_nothing = answered == nullptr;
            if (answered != nullptr) parse.answer_hint = answered->answer_hint;
        }
        const Step step = protocol_->parse(parse, input);
        keep_capture(stream, capture);
        if (stream.in_message && stream.current != nullptr)
            (stream.kind == MessageKind::request ? stream.current->record.request_bytes
                                                 : stream.current->record.response_bytes) +=
                step.consumed;
        switch (step.verdict) {
            case Verdict::partial: return;
            case Verdict::begin: message_begins(stream); break;
            case Verdict::field:
                if (stream.kind == MessageKind::request && stream.current != nullptr)
                    stream.current->collector.add(parse.field.field, parse.field.value,
                                                  parse.field.begins, parse.field.ends);
                break;
            case Verdict::insert:
                if (stream.kind == MessageKind::request && stream.current != nullptr)
                    decide(*stream.current);
                break;
            case Verdict::head: head_ends(stream); break;
            case Verdict::complete: message_ends(stream); break;
            case Verdict::invalid: return give_up(REMORA_LOSS_parser_gave_up);
            case Verdict::ignored: return end(REMORA_END_UNFOLLOWED, 0, now_);
        }
        input = input.from(step.consumed);
    }
}

NamedFields Connection::named_fields(MessageKind kind) const {
    const auto& list = world_.named_fields;
    return named_fields_of(list.data(), static_cast<uint32_t>(list.size()),
                           named_where(role_, kind == MessageKind::request));
}

void Connection::stream_ends(Stream& stream) {
    if (!stream.in_message) return;
    if (protocol_->finish(stream.parser, stream.message) == Verdict::complete) message_ends(stream);
}

}  // namespace remora
