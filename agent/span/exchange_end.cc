// SPDX-License-Identifier: Apache-2.0
#include "agent/span/exchange_end.h"

#include <cerrno>
#include <cstring>

namespace remora {

const char* end_name(uint8_t end) {
    switch (end) {
        case REMORA_END_COMPLETE: return nullptr;
        case REMORA_END_LOCAL: return "local";
        case REMORA_END_PEER: return "peer";
        case REMORA_END_ERROR: return "error";
        case REMORA_END_TUNNEL: return "tunnel";
        case REMORA_END_IDLE: return "idle";
        case REMORA_END_PROCESS: return "process";
        default: return "unfollowed";
    }
}

const char* join_name(uint8_t join) {
    switch (join) {
        case REMORA_JOIN_REMOTE: return "remote";
        case REMORA_JOIN_HEADER: return "header";
        case REMORA_JOIN_ORIGIN: return "origin";
        case REMORA_JOIN_CARRIER: return "carrier";
        case REMORA_JOIN_THREAD: return "thread";
        case REMORA_JOIN_PROCESS: return "process";
        case REMORA_JOIN_PROGRAM: return "program";
        default: return "root";
    }
}

std::string errno_name(int number) {
    const char* name = ::strerrorname_np(number);
    return name == nullptr || number == 0 ? "_OTHER" : name;
}

Failure transport_failure(const remora_exchange& exchange) {
    const bool server = exchange.role == REMORA_ROLE_SERVER;
    switch (exchange.end) {
        case REMORA_END_PEER:
            if (server) return {};
            return {"connection_closed",
                    "the peer closed the connection before the response was complete"};
        case REMORA_END_ERROR: {
            const int number = exchange.error_number;
            if (server && (number == ECONNRESET || number == EPIPE)) return {};
            const char* text = ::strerrordesc_np(number);
            return {errno_name(number), text == nullptr ? "socket call failed" : text};
        }
        case REMORA_END_OPEN:
        case REMORA_END_PROCESS:
            if (memcmp(exchange.protocol, "connect", sizeof("connect")) == 0)
                return {"unfinished", "process ended before the connection was made"};
            return {"unfinished", "process ended before the response was complete"};
        default: return {};
    }
}

}  // namespace remora
