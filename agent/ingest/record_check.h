// SPDX-License-Identifier: Apache-2.0
// Makes private copies of untrusted records fit to be passed on. Never call these on shared memory:
// what was checked must not change afterwards.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/protocol/description.h"
#include "bpf/abi/record.h"

namespace remora {

// The end states that a record may have.
enum class Ends : uint8_t { finished, open };

// false: refuse the record. Otherwise its sizes fit into payload_room, its enumerations are known
// ones, its ids are there, its texts end in a NUL, and its times are in order and not after now_ns.
bool check_exchange(remora_exchange& exchange, size_t payload_room, uint64_t now_ns, Ends ends);

// Cuts the texts and clears unknown states.
void mend_process(remora_process& process);

bool check_open(const remora_open_record& record);
bool check_data(const remora_data_record& record);
bool check_close(const remora_close_record& record);

// Bytes of payload that a checked exchange has.
inline size_t payload_size(const remora_exchange& exchange) {
    return size_t{exchange.opening_size} + exchange.request_size + exchange.tracestate_size +
           exchange.response_size;
}
// The parts of a checked exchange's payload.
ExchangeView view_of(const remora_exchange& exchange, const uint8_t* payload);

}  // namespace remora
