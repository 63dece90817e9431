// SPDX-License-Identifier: Apache-2.0
// What a span says of the TLS that its exchange ran in: the tls.* attributes of the semantic
// conventions' registry (tls.protocol.name and .version, tls.cipher, tls.resumed, tls.next_protocol).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/protocol/description.h"

namespace remora {

// Nothing for an exchange outside TLS. The record is the traced program's to write: unknown numbers
// are left out.
void set_tls(const remora_exchange& exchange, std::vector<Attribute>& attributes);

// IANA's name of a cipher suite, "" for those that are not in use.
std::string_view cipher_suite_name(uint16_t number);

}  // namespace remora
