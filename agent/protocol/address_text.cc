// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include "agent/protocol/description.h"

namespace remora {

std::string address_text(const remora_address& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.family == AF_INET || address.family == AF_INET6)
        inet_ntop(address.family, address.bytes, text, sizeof(text));
    return text;
}

}  // namespace remora
