// SPDX-License-Identifier: Apache-2.0
#include "agent/span/opening_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "agent/base/utf8.h"
#include "agent/span/exchange_end.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

constexpr double ns_per_second = 1e9;

// A target may have written it: counts are cut, times are checked where they are used.
bool read_opening(const ExchangeView& view, remora_opening& out) {
    if (view.opening.size != sizeof(out)) return false;
    memcpy(&out, view.opening.data, sizeof(out));
    return true;
}

size_t stored_attempts(const remora_opening& opening) {
    return std::min<size_t>(opening.failed, REMORA_ATTEMPTS_MAX);
}

// The process ended, or still waits: then no attempt is the span itself.
bool is_open(const remora_exchange& exchange) {
    return exchange.end == REMORA_END_OPEN || exchange.end == REMORA_END_PROCESS ||
           exchange.end == REMORA_END_IDLE;
}

std::string attempt_error(const remora_attempt& attempt) {
    if (attempt.error_number == REMORA_GAVE_UP_TIMEOUT) return "timeout";
    if (attempt.error_number == REMORA_GAVE_UP) return "cancelled";
    return errno_name(attempt.error_number);
}

void set_peer(const remora_address& peer, std::vector<Attribute>& attributes) {
    std::string address = address_text(peer);
    if (address.empty()) return;
    attributes.push_back({"network.peer.address", std::move(address)});
    if (peer.port != 0) attributes.push_back({"network.peer.port", int64_t{peer.port}});
}

class EventWriter {
public:
    EventWriter(const remora_exchange& exchange, const ClockOffset& clock, Span& span)
        : exchange_(exchange), clock_(clock), span_(span) {}

    // nullptr: its times are not believed.
    std::vector<Attribute>* add(const char* name, uint64_t start_ns, uint64_t end_ns) {
        if (start_ns == 0 || end_ns < start_ns || start_ns < exchange_.start_ns) return nullptr;
        const uint64_t time = clock_.wall(end_ns);
        if (time < span_.start_unix_ns || time > span_.end_unix_ns) return nullptr;
        SpanEvent event{time, name, {}};
        event.attributes.push_back(
            {"duration", static_cast<double>(end_ns - start_ns) / ns_per_second});
        span_.events.push_back(std::move(event));
        return &span_.events.back().attributes;
    }

private:
    const remora_exchange& exchange_;
    const ClockOffset& clock_;
    Span& span_;
};

void add_attempts(const remora_opening& opening, size_t count, EventWriter& events) {
    for (size_t i = 0; i < count; ++i) {
        const remora_attempt& attempt = opening.attempts[i];
        auto* attributes = events.add("connect.failed", attempt.start_ns, attempt.end_ns);
        if (attributes == nullptr) continue;
        set_peer(attempt.peer, *attributes);
        attributes->push_back({"error.type", attempt_error(attempt)});
    }
}

}  // namespace

bool is_failed_opening(const ExchangeView& view) {
    return field_text(view.exchange.protocol) == "connect";
}

std::string looked_up_host(const ExchangeView& view) {
    remora_opening opening;
    if (!read_opening(view, opening)) return {};
    return sanitize_utf8(field_text(opening.host));
}

void describe_failed_opening(const ExchangeView& view, Description& out) {
    const remora_exchange& exchange = view.exchange;
    out.name = "connect";
    std::string host = looked_up_host(view);
    if (host.empty()) host = address_text(exchange.peer);
    if (!host.empty()) {
        out.set("server.address", std::move(host));
        if (exchange.peer.port != 0) out.set("server.port", int64_t{exchange.peer.port});
    }
    remora_opening opening;
    if (!read_opening(view, opening) || is_open(exchange)) return;
    if (opening.connect_end_ns != 0 || opening.failed == 0) {
        if (opening.tls_start_ns == 0) return;
        out.status = StatusCode::error;
        out.error_type = "tls_handshake";
        out.status_message = opening.tls_failed != 0
                                 ? "the TLS handshake failed"
                                 : "the connection was closed before the TLS handshake was done";
        return;
    }
    const remora_attempt& last = opening.attempts[stored_attempts(opening) - 1];
    if (last.error_number == REMORA_GAVE_UP) return;  // cancelled: nobody's error
    out.status = StatusCode::error;
    out.error_type = attempt_error(last);
    const char* text = last.error_number > 0 ? ::strerrordesc_np(last.error_number) : nullptr;
    out.status_message = text != nullptr ? text : "the program gave up waiting for the connection";
}

void add_opening_events(const ExchangeView& view, const ClockOffset& clock, Span& span) {
    remora_opening opening;
    if (span.kind != SpanKind::client || !read_opening(view, opening)) return;
    EventWriter events(view.exchange, clock, span);
    if (auto* dns = events.add("dns", opening.lookup_start_ns, opening.lookup_end_ns))
        dns->push_back({"dns.question.name", looked_up_host(view)});
    // What failed last is what a failed opening's span is itself.
    const bool own = is_failed_opening(view) && !is_open(view.exchange) &&
                     opening.connect_end_ns == 0 && opening.failed > 0;
    add_attempts(opening, stored_attempts(opening) - (own ? 1 : 0), events);
    if (auto* connect = events.add("connect", opening.connect_start_ns, opening.connect_end_ns))
        set_peer(view.exchange.peer, *connect);
    if (auto* tls = events.add("tls.handshake", opening.tls_start_ns, opening.tls_end_ns);
        tls != nullptr && opening.tls_failed != 0)
        tls->push_back({"error.type", "tls_handshake"});
    if (opening.failed > REMORA_ATTEMPTS_MAX)
        set_if_absent(span.attributes, "remora.connect.failed", int64_t{opening.failed});
    std::stable_sort(
        span.events.begin(), span.events.end(),
        [](const SpanEvent& a, const SpanEvent& b) { return a.time_unix_ns < b.time_unix_ns; });
}

}  // namespace remora
