// SPDX-License-Identifier: Apache-2.0
#include "agent/control/session.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>

#include "agent/context/ids.h"

namespace remora {

Result<SessionId> SessionId::random() {
    SessionId id;
    if (::getrandom(id.bytes, sizeof(id.bytes), 0) != sizeof(id.bytes))
        return Error{"cannot draw a random session id", errno};
    return id;
}

std::string SessionId::hex() const {
    std::string digits(2 * sizeof(bytes), '0');
    write_hex(bytes, sizeof(bytes), digits.data());
    return digits;
}

std::string SessionId::socket_name() const { return "remora-" + hex().substr(0, 16); }

std::string session_text(int agent_pid, int lanes_fd, int control_fd, const SessionId& id) {
    return fmt::format("1:{}:{}:{}:{}", agent_pid, lanes_fd, control_fd, id.hex());
}

}  // namespace remora
