// SPDX-License-Identifier: Apache-2.0
// What names a session: the random id by which the shim knows that it found the right agent, and
// the text and socket name made of it (bpf/abi/control.h). Whoever knows the id may write into the
// lanes: it stands in the environment of traced programs, which their own user can read.
#pragma once

#include <cstdint>
#include <string>

#include "agent/base/result.h"

namespace remora {

struct SessionId {
    uint8_t bytes[16] = {};

    static Result<SessionId> random();
    [[nodiscard]] std::string hex() const;  // 32 lower-case digits
    // Name of the abstract unix socket, without the leading NUL.
    [[nodiscard]] std::string socket_name() const;
};

// The value of REMORA_SESSION.
std::string session_text(int agent_pid, int lanes_fd, int control_fd, const SessionId& id);

}  // namespace remora
