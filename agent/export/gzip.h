// SPDX-License-Identifier: Apache-2.0
// Compression of request bodies (RFC 1952), by zlib. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace remora {

Result<std::string> gzip(std::string_view text);

}  // namespace remora
