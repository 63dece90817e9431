// SPDX-License-Identifier: Apache-2.0
// Hands the session's two descriptors to programs that may not open them below /proc, because they
// run as another user or in another pid namespace: an abstract unix socket, as bpf/abi/control.h
// describes it. A thread of its own; a client that is slow or silent costs nobody anything.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/control/session.h"

namespace remora {

class SessionServer {
public:
    // Listens at once: programs that connect before start() wait. The descriptors are the caller's
    // and outlive the server.
    static Result<std::unique_ptr<SessionServer>> create(const SessionId& id, int lanes_fd,
                                                         int control_fd);
    ~SessionServer() { stop(); }

    void start();
    void stop();  // idempotent

private:
    struct Client {
        UniqueFd fd;
        uint64_t deadline_ns = 0;
        std::string said;
    };

    SessionServer(const SessionId& id, int lanes_fd, int control_fd)
        : secret_(id.hex()), lanes_fd_(lanes_fd), control_fd_(control_fd) {}

    void serve(const std::stop_token& stopped);
    void accept_clients();
    bool finished(Client& client);  // answered, refused, or gone
    void hand_over(int client) const;

    std::string secret_;
    int lanes_fd_;
    int control_fd_;
    UniqueFd listener_;
    UniqueFd wake_;
    std::vector<Client> clients_;
    std::jthread thread_;
};

}  // namespace remora
