// SPDX-License-Identifier: Apache-2.0
// From messages to exchanges: the second half of Connection.
#include <algorithm>
#include <cstring>

#include "agent/connection/connection.h"

namespace remora {

namespace {

bool all_zero(const uint8_t* bytes, size_t count) {
    return std::all_of(bytes, bytes + count, [](uint8_t b) { return b == 0; });
}

SpanContext caller_of(const remora_data_record& call) {
    SpanContext caller;
    memcpy(caller.trace_id.bytes, call.caller_trace_id, sizeof(caller.trace_id.bytes));
    memcpy(caller.span_id.bytes, call.caller_span_id, sizeof(caller.span_id.bytes));
    caller.flags = flag_sampled;  // an unsampled one has no span that the producer could name
    return caller;
}

}  // namespace

void Connection::message_begins(Stream& stream) {
    stream.in_message = true;
    stream.cut = false;
    if (stream.kind == MessageKind::request)
        request_begins(stream);
    else
        response_begins(stream);
}

void Connection::request_begins(Stream& stream) {
    if (protocol_->batches && batch_ != nullptr && !open_.empty() && open_.back() == batch_) {
        stream.current = batch_;
        ++batch_->record.batch;
        batch_->request_done = false;
        return;
    }
    stream.current = nullptr;
    if (open_.size() >= open_max) return give_up(REMORA_LOSS_pipeline_too_deep);
    PendingExchange* exchange = make_exchange();
    if (exchange == nullptr) return give_up(REMORA_LOSS_connection_table_full);
    open_.push_back(exchange);
    stream.current = batch_ = exchange;
}

PendingExchange* Connection::make_exchange() {
    PendingExchange* exchange = world_.pool.take();
    if (exchange == nullptr) return nullptr;
    exchange->key = 0;
    exchange->answer_hint = exchange->answered = 0;
    exchange->decided = exchange->sampled = exchange->one_way = false;
    exchange->request_done = exchange->response_begun = exchange->response_done = false;
    exchange->reported = false;
    exchange->collector.start(exchange->tracestate_lines, sizeof(exchange->tracestate_lines));
    remora_exchange& record = exchange->record;
    record = {};
    record.image = image_;
    record.connection = connection_;
    record.role = role_;
    record.batch = 1;
    record.sequence = sequence_++;
    record.start_ns = record.activity_ns = now_;
    record.thread = call_.thread;
    record.local = open_record_.local;
    record.peer = open_record_.peer;
    const size_t name = std::min(strlen(protocol_->name), sizeof(record.protocol) - 1);
    memcpy(record.protocol, protocol_->name, name);
    // A connection that was opened for this exchange: the wait for it belongs to the span.
    if (record.sequence == 0 && role_ == REMORA_ROLE_CLIENT && open_seen_ &&
        open_record_.header.time_ns <= now_) {
        record.start_ns = open_record_.header.time_ns;
        record.marks |= REMORA_MARK_NEW_CONNECTION;
    }
    return exchange;
}

void Connection::response_begins(Stream& stream) {
    stream.current = nullptr;
    if (stream.message.push) return;
    for (PendingExchange* exchange : open_) {
        if (exchange->response_done || exchange->key != stream.message.key) continue;
        stream.current = exchange;
        break;
    }
    if (stream.current == nullptr || stream.current->response_begun) return;
    stream.current->response_begun = true;
    stream.current->record.response_start_ns = now_;
}

void Connection::head_ends(Stream& stream) {
    if (stream.kind == MessageKind::request) {
        if (stream.current == nullptr) return;
        decide(*stream.current);
        stream.current->answer_hint = stream.message.answer_hint;
        stream.current->key = stream.message.key;
    } else if (stream.message.switched) {
        if (stream.current != nullptr) finish(*stream.current, REMORA_END_TUNNEL, 0);
        end(REMORA_END_TUNNEL, 0, now_);
    }
}

void Connection::message_ends(Stream& stream) {
    stream.in_message = false;
    if (stream.kind == MessageKind::request)
        request_ends(stream);
    else
        response_ends(stream);
}

void Connection::request_ends(Stream& stream) {
    PendingExchange* exchange = std::exchange(stream.current, nullptr);
    if (exchange == nullptr) return;
    if (stream.message.may_switch) holding_ = true;
    exchange->record.request_body_bytes += stream.message.body_bytes;
    exchange->record.request_end_ns = exchange->record.activity_ns = now_;
    exchange->one_way = stream.message.one_way;
    exchange->request_done = true;
    // The answer may have come before the request was whole: then the exchange ends now.
    if (exchange->one_way || exchange->response_done) finish(*exchange, REMORA_END_COMPLETE, 0);
}

void Connection::response_ends(Stream& stream) {
    PendingExchange* exchange = std::exchange(stream.current, nullptr);
    if (exchange == nullptr || stream.message.interim) return;
    exchange->record.response_body_bytes += stream.message.body_bytes;
    exchange->record.activity_ns = now_;
    if (++exchange->answered < exchange->record.batch) return;
    exchange->response_done = true;
    exchange->record.end_ns = now_;
    if (exchange->request_done) finish(*exchange, REMORA_END_COMPLETE, 0);
    release_held();
}

// The answer did not switch the protocol: requests go on.
void Connection::release_held() {
    if (!holding_) return;
    holding_ = false;
    const std::string bytes = std::exchange(held_, {});
    if (!bytes.empty() && follow_ == Follow::following)
        feed(requests(), {bytes.data(), bytes.size()});
}

// --- ids -----------------------------------------------------------------------------------------

void Connection::decide(PendingExchange& exchange) {
    if (exchange.decided) return;
    exchange.decided = true;
    if (role_ == REMORA_ROLE_SERVER)
        decide_server(exchange);
    else
        decide_client(exchange);
    if (requests().message.telemetry && !world_.trace_telemetry && exchange.sampled) {
        exchange.sampled = false;
        world_.next.on_loss(REMORA_LOSS_own_telemetry, 1);
    }
    if (exchange.collector.tracestate_dropped())
        world_.next.on_loss(REMORA_LOSS_tracestate_dropped, 1);
    exchange.record.tracestate_size = static_cast<uint16_t>(
        std::min<size_t>(exchange.collector.tracestate().size, REMORA_TRACESTATE_MAX));
}

void Connection::decide_server(PendingExchange& exchange) {
    SpanContext incoming;
    const bool remote = exchange.collector.context(incoming);
    if (exchange.collector.invalid()) world_.next.on_loss(REMORA_LOSS_trace_header_invalid, 1);
    exchange.record.join = remote ? REMORA_JOIN_REMOTE : REMORA_JOIN_ROOT;
    draw_ids(exchange, remote ? &incoming : nullptr);
}

void Connection::decide_client(PendingExchange& exchange) {
    SpanContext carried;
    const bool head = exchange.collector.context(carried);
    const SpanContext caller = caller_of(call_);
    const bool ours = head && memcmp(carried.span_id.bytes, call_.minted_span_id,
                                     sizeof(carried.span_id.bytes)) == 0;
    if (ours) exchange.record.marks |= REMORA_MARK_INJECTED;
    if (caller.valid()) {
        exchange.record.join = REMORA_JOIN_THREAD;
        draw_ids(exchange, &caller);
    } else if (head && !ours) {
        exchange.record.join = REMORA_JOIN_PROGRAM;
        draw_ids(exchange, &carried);
    } else {
        exchange.record.join = REMORA_JOIN_ROOT;
        draw_ids(exchange, nullptr);
    }
    if (!ours) return;
    // What is on the wire stands: trace and flags were decided by who put them there.
    memcpy(exchange.record.trace_id, carried.trace_id.bytes, sizeof(exchange.record.trace_id));
    exchange.record.trace_flags = carried.flags;
    exchange.sampled = carried.sampled();
}

void Connection::draw_ids(PendingExchange& exchange, const SpanContext* parent) {
    remora_exchange& record = exchange.record;
    const TraceId trace = parent != nullptr ? parent->trace_id : world_.ids.trace_id();
    memcpy(record.trace_id, trace.bytes, sizeof(record.trace_id));
    if (parent != nullptr)
        memcpy(record.parent_id, parent->span_id.bytes, sizeof(record.parent_id));
    if (all_zero(call_.minted_span_id, sizeof(call_.minted_span_id))) {
        const SpanId span = world_.ids.span_id();
        memcpy(record.span_id, span.bytes, sizeof(record.span_id));
    } else {
        memcpy(record.span_id, call_.minted_span_id, sizeof(record.span_id));
        memset(call_.minted_span_id, 0, sizeof(call_.minted_span_id));  // one request's only
    }
    exchange.sampled = world_.sampler.decide(parent, trace);
    const uint8_t random = parent != nullptr ? parent->flags & flag_random : flag_random;
    record.trace_flags = static_cast<uint8_t>((exchange.sampled ? flag_sampled : 0) | random);
}

// --- text ----------------------------------------------------------------------------------------

// Request text, tracestate and response text share one record: the request's is closed once the
// tracestate stands beside it.
Capture Connection::capture_for(const Stream& stream) const {
    Capture capture;
    PendingExchange* exchange = stream.current;
    if (exchange == nullptr) return capture;
    if (stream.kind == MessageKind::request) {
        if (exchange->decided && protocol_->injects) return capture;
        capture.data = exchange->request;
        capture.size = exchange->record.request_size;
        capture.limit = REMORA_REQUEST_CAPTURE_MAX;
        if (exchange->response_begun) capture.limit = capture.size;
    } else {
        capture.data = exchange->response;
        capture.size = exchange->record.response_size;
        capture.limit = exchange->response_limit();
    }
    return capture;
}

void Connection::keep_capture(Stream& stream, const Capture& capture) {
    if (stream.current == nullptr || capture.data == nullptr) return;
    remora_exchange& record = stream.current->record;
    const bool request = stream.kind == MessageKind::request;
    (request ? record.request_size : record.response_size) = capture.size;
    if (!capture.cut) return;
    record.marks |= request ? REMORA_MARK_REQUEST_CUT : REMORA_MARK_RESPONSE_CUT;
    if (!stream.cut) world_.next.on_loss(REMORA_LOSS_capture_cut, 1);
    stream.cut = true;
}

// --- the end -------------------------------------------------------------------------------------

void Connection::finish(PendingExchange& exchange, remora_end how, int error_number) {
    for (Stream& stream : streams_)
        if (stream.current == &exchange) stream.current = nullptr;
    if (batch_ == &exchange) batch_ = nullptr;
    open_.erase(std::find(open_.begin(), open_.end(), &exchange));
    // Answered in full although the request never was: for the span that is complete.
    if (exchange.response_done) how = REMORA_END_COMPLETE;
    const uint64_t end_ns = exchange.response_done ? exchange.record.end_ns : now_;
    report(exchange, how, error_number, end_ns);
    world_.pool.give_back(&exchange);
}

void Connection::report(PendingExchange& exchange, remora_end how, int error_number,
                        uint64_t end_ns) {
    // Not decided: not even its head was seen, so no id went out.
    if (exchange.reported || !exchange.decided || !exchange.sampled) return;
    exchange.reported = true;
    exchange.record.end = static_cast<uint8_t>(how);
    exchange.record.error_number = how == REMORA_END_ERROR ? error_number : 0;
    exchange.record.end_ns = std::max(end_ns, exchange.record.start_ns);
    world_.next.on_exchange(exchange.view());
}

}  // namespace remora
