// SPDX-License-Identifier: Apache-2.0
// Writes a whole text to a descriptor: short writes are continued, EINTR and EAGAIN are waited out.
#pragma once

#include <string_view>

#include "agent/base/result.h"

namespace remora {

// The error holds errno only; the caller says what was being written. Blocks as long as the reader
// of a pipe or terminal does.
Status write_all(int fd, std::string_view text);

}  // namespace remora
