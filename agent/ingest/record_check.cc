// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/record_check.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "bpf/abi/lanes.h"

namespace remora {

namespace {

bool all_zero(const uint8_t* bytes, size_t count) {
    return std::all_of(bytes, bytes + count, [](uint8_t b) { return b == 0; });
}

// A protocol is a folder's name: lower-case letters, digits and '_', then NULs.
bool check_protocol(const char (&name)[REMORA_PROTOCOL_NAME_MAX]) {
    const auto* end = static_cast<const char*>(memchr(name, 0, sizeof(name)));
    if (end == nullptr || end == name) return false;
    return std::all_of(static_cast<const char*>(name), end, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

void mend_address(remora_address& address) {
    if (address.family != AF_INET && address.family != AF_INET6 && address.family != AF_UNIX)
        address = {};
}

bool check_address(const remora_address& address) {
    return address.family == 0 || address.family == AF_INET || address.family == AF_INET6 ||
           address.family == AF_UNIX;
}

// 0 says "did not happen" and stays.
void mend_time(uint64_t& time, uint64_t earliest, uint64_t latest) {
    if (time != 0) time = std::clamp(time, earliest, latest);
}

template <size_t N>
void cut(char (&text)[N]) {
    text[N - 1] = 0;
}

}  // namespace

bool check_exchange(remora_exchange& exchange, size_t payload_room, uint64_t now_ns, Ends ends) {
    if (exchange.request_size > REMORA_REQUEST_CAPTURE_MAX ||
        exchange.tracestate_size > REMORA_TRACESTATE_MAX ||
        (exchange.opening_size != 0 && exchange.opening_size != sizeof(remora_opening)) ||
        payload_size(exchange) > std::min<size_t>(payload_room, REMORA_PAYLOAD_MAX))
        return false;
    if (exchange.role != REMORA_ROLE_CLIENT && exchange.role != REMORA_ROLE_SERVER) return false;
    if (exchange.join > REMORA_JOIN_PROGRAM) return false;
    if (exchange.end > REMORA_END_UNFOLLOWED) return false;
    if (ends == Ends::finished && exchange.end == REMORA_END_OPEN) return false;
    if (!check_protocol(exchange.protocol)) return false;
    if (all_zero(exchange.trace_id, sizeof(exchange.trace_id)) ||
        all_zero(exchange.span_id, sizeof(exchange.span_id)))
        return false;
    if (exchange.start_ns == 0 || exchange.start_ns > now_ns) return false;
    mend_time(exchange.request_end_ns, exchange.start_ns, now_ns);
    mend_time(exchange.response_start_ns, exchange.start_ns, now_ns);
    mend_time(exchange.end_ns, exchange.start_ns, now_ns);
    mend_time(exchange.activity_ns, exchange.start_ns, now_ns);
    if (ends == Ends::finished && exchange.end_ns == 0)
        exchange.end_ns = std::max(exchange.activity_ns, exchange.start_ns);
    mend_address(exchange.local);
    mend_address(exchange.peer);
    exchange.tls_resumed = exchange.tls_resumed != 0;
    cut(exchange.alpn);
    return true;
}

void mend_process(remora_process& process) {
    process.states &= REMORA_PROCESS_SERVER | REMORA_PROCESS_REFERENCED | REMORA_PROCESS_EXITED |
                      REMORA_PROCESS_FORKED;
    cut(process.executable);
    cut(process.command);
    cut(process.service_name);
    cut(process.attributes);
}

bool check_open(const remora_open_record& record) {
    return record.role <= REMORA_ROLE_SERVER && check_address(record.local) &&
           check_address(record.peer);
}

bool check_data(const remora_data_record& record) {
    return record.size <= REMORA_DATA_MAX && record.size <= record.length &&
           record.direction <= REMORA_DIRECTION_SENT;
}

bool check_close(const remora_close_record& record) {
    return record.end == REMORA_END_LOCAL || record.end == REMORA_END_PEER ||
           record.end == REMORA_END_ERROR;
}

ExchangeView view_of(const remora_exchange& exchange, const uint8_t* payload) {
    const ByteView all{payload, payload_size(exchange)};
    const size_t request = exchange.opening_size;
    const size_t tracestate = request + exchange.request_size;
    const size_t response = tracestate + exchange.tracestate_size;
    return {exchange, all.slice(request, exchange.request_size),
            all.slice(tracestate, exchange.tracestate_size), all.from(response),
            all.first(exchange.opening_size)};
}

}  // namespace remora
