// SPDX-License-Identifier: Apache-2.0
// What a person can do about each loss of bpf/abi/loss.h.
#include <iterator>

#include "agent/inspect/reasons.h"

namespace remora {

const char* loss_name(unsigned reason) {
    static constexpr const char* names[] = {
#define X(name, text) #name,
        REMORA_LOSS_REASONS(X)
#undef X
    };
    return reason < std::size(names) ? names[reason] : "unknown";
}

const char* loss_meaning(unsigned reason) {
    static constexpr const char* texts[] = {
#define X(name, text) text,
        REMORA_LOSS_REASONS(X)
#undef X
    };
    return reason < std::size(texts) ? texts[reason] : "unknown";
}

const char* loss_help(unsigned reason) {
    switch (reason) {
        case REMORA_LOSS_ring_full:
        case REMORA_LOSS_agent_away:
            return "sample fewer traces (--sample), or give remora more CPU";
        case REMORA_LOSS_no_lane: return "raise REMORA_LANES";
        case REMORA_LOSS_not_injected_limit:
            return "send fewer or shorter header fields: servers limit them, too";
        case REMORA_LOSS_not_injected_untouchable:
        case REMORA_LOSS_parser_gave_up:
            return "the peer or the program sends what HTTP does not allow, or two readers would "
                   "understand differently";
        case REMORA_LOSS_not_injected_no_room:
            return "give the program a larger read buffer, or let it forward traceparent";
        case REMORA_LOSS_not_injected_seccomp:
            return "let the program forward traceparent, or switch its sandbox off";
        case REMORA_LOSS_not_injected_identity:
        case REMORA_LOSS_concurrent_use:
            return "the program shares a descriptor between threads or processes; its bytes pass "
                   "untouched";
        case REMORA_LOSS_connection_table_full:
            return "the program holds more connections than are followed";
        case REMORA_LOSS_parent_ambiguous:
        case REMORA_LOSS_parent_unknown:
            return "let the program forward the traceparent header of the request that it serves";
        case REMORA_LOSS_tls_table_full:
            return "the program holds more TLS sessions than are followed";
        case REMORA_LOSS_stdio_on_a_socket:
            return "have the program read and write the socket itself";
        default: return nullptr;
    }
}

}  // namespace remora
