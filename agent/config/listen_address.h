// SPDX-License-Identifier: Apache-2.0
// Where a server of ours listens: HOST:PORT, [IPV6]:PORT, or :PORT for every address of the
// machine.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace remora {

struct ListenAddress {
    std::string host;  // empty: all
    int port = 0;      // 0: any that is free
};

Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace remora
