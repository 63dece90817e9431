// SPDX-License-Identifier: Apache-2.0
#include "agent/span/span_builder.h"

#include <sys/socket.h>

#include <algorithm>
#include <string_view>

#include "agent/base/utf8.h"
#include "agent/context/span_context.h"
#include "agent/span/exchange_end.h"
#include "agent/span/opening_events.h"
#include "agent/span/span_text.h"
#include "agent/span/span_times.h"
#include "agent/span/tls_attributes.h"

namespace remora {
namespace {

SpanKind kind_of_role(uint8_t role) {
    if (role == REMORA_ROLE_SERVER) return SpanKind::server;
    if (role == REMORA_ROLE_CLIENT) return SpanKind::client;
    return SpanKind::internal;
}

void set_identity(const ExchangeView& view, Span& span) {
    const remora_exchange& exchange = view.exchange;
    memcpy(span.trace_id.bytes, exchange.trace_id, sizeof(exchange.trace_id));
    memcpy(span.span_id.bytes, exchange.span_id, sizeof(exchange.span_id));
    memcpy(span.parent_id.bytes, exchange.parent_id, sizeof(exchange.parent_id));
    span.trace_flags = exchange.trace_flags;
    span.parent_is_remote = span.parent_id.valid() && exchange.join == REMORA_JOIN_REMOTE;
    // Checked by the shim before it went out, but this copy lay in the program's memory.
    if (valid_tracestate(view.tracestate) && !view.tracestate.empty())
        span.trace_state.assign(view.tracestate.chars(), view.tracestate.size);
}

// The name of last resort is the protocol's: an agent older than the shim, or a hostile record.
Description describe(const ExchangeView& view) {
    const std::string_view protocol = field_text(view.exchange.protocol);
    Description description;
    if (is_failed_opening(view))
        describe_failed_opening(view, description);
    else if (Describe say = find_describe(protocol))
        say(view, description);
    if (description.name.empty())
        description.name = protocol.empty() ? "unknown" : sanitize_utf8(protocol);
    return description;
}

// error.type of the protocol (a status code) says more than that of the transport.
void set_status(const remora_exchange& exchange, Description& description, Span& span) {
    span.status = description.status;
    span.status_message = std::move(description.status_message);
    Failure failure = transport_failure(exchange);
    if (!failure.error_type.empty() && span.status != StatusCode::error) {
        span.status = StatusCode::error;
        span.status_message = std::move(failure.message);
    }
    std::string& error_type =
        description.error_type.empty() ? failure.error_type : description.error_type;
    if (!error_type.empty()) set_if_absent(span.attributes, "error.type", std::move(error_type));
}

void set_peer(const remora_exchange& exchange, std::vector<Attribute>& attributes) {
    if (exchange.peer.family == AF_UNIX || exchange.local.family == AF_UNIX) {
        set_if_absent(attributes, "network.transport", "unix");
        return;
    }
    std::string address = address_text(exchange.peer);
    if (address.empty()) return;
    set_if_absent(attributes, "network.peer.address", std::move(address));
    if (exchange.peer.port != 0)
        set_if_absent(attributes, "network.peer.port", int64_t{exchange.peer.port});
}

void set_own(const remora_exchange& exchange, std::vector<Attribute>& attributes) {
    if (exchange.batch > 1 && find_attribute(attributes, "db.operation.batch.size") == nullptr)
        set_if_absent(attributes, "remora.batch.size", int64_t{exchange.batch});
    set_if_absent(attributes, "remora.join", join_name(exchange.join));
    if (const char* end = end_name(exchange.end)) set_if_absent(attributes, "remora.end", end);
}

// Where the end was never written, the last byte that moved is the best that is known.
uint64_t end_of(const remora_exchange& exchange) {
    return exchange.end_ns != 0 ? exchange.end_ns : exchange.activity_ns;
}

void add_first_byte(const remora_exchange& exchange, const ClockOffset& clock, Span& span) {
    if (span.kind != SpanKind::client || exchange.response_start_ns == 0) return;
    const uint64_t time = clock.wall(exchange.response_start_ns);
    if (time < span.start_unix_ns || time > span.end_unix_ns) return;
    span.events.push_back({time, "first_byte", {}});
}

}  // namespace

std::optional<Span> SpanBuilder::build(const ExchangeView& view, const ClockOffset& clock,
                                       std::shared_ptr<const Resource> resource) const {
    const remora_exchange& exchange = view.exchange;
    Span span;
    set_identity(view, span);
    if (!span.trace_id.valid() || !span.span_id.valid()) {
        count_loss_(REMORA_LOSS_record_invalid, 1);
        return std::nullopt;
    }
    span.kind = kind_of_role(exchange.role);
    const SpanTimes times = span_times(exchange.start_ns, end_of(exchange), clock);
    if (times.nonsense) count_loss_(REMORA_LOSS_record_invalid, 1);
    span.start_unix_ns = times.start_unix_ns;
    span.end_unix_ns = times.end_unix_ns;
    Description description = describe(view);
    span.name = std::move(description.name);
    span.attributes = std::move(description.attributes);
    set_status(exchange, description, span);
    set_peer(exchange, span.attributes);
    set_tls(exchange, span.attributes);
    set_own(exchange, span.attributes);
    add_first_byte(exchange, clock, span);
    add_opening_events(view, clock, span);
    span.resource = std::move(resource);
    finish_texts(span);
    return span;
}

}  // namespace remora
