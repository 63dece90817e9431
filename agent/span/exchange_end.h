// SPDX-License-Identifier: Apache-2.0
// What the way in which an exchange ended says about it: is it an error, and which?
#pragma once

#include <string>

#include "agent/protocol/description.h"
#include "bpf/abi/record.h"

namespace remora {

// "local", "peer", ...; nullptr for a complete exchange.
const char* end_name(uint8_t end);
// "root", "remote", ...
const char* join_name(uint8_t join);

struct Failure {
    std::string error_type;  // empty: not a failure
    std::string message;
};

// Whose fault is seen from where the span stands: a client that closes early has cancelled, a
// server whose peer goes away did nothing wrong (semantic conventions, HTTP spans, "Status").
Failure transport_failure(const remora_exchange& exchange);

// "ECONNRESET"; "_OTHER" for a number that is no errno.
std::string errno_name(int number);

}  // namespace remora
