// SPDX-License-Identifier: Apache-2.0
#include "agent/control/session_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "agent/base/clock.h"

namespace remora {

namespace {

constexpr size_t clients_max = 64;
constexpr uint64_t client_time_ns = 1'000'000'000;
constexpr int backlog = 128;

// Takes the same time wherever the first difference is: a guess teaches nothing.
bool same_text(const std::string& a, const std::string& b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
    return difference == 0;
}

}  // namespace

Result<std::unique_ptr<SessionServer>> SessionServer::create(const SessionId& id, int lanes_fd,
                                                             int control_fd) {
    std::unique_ptr<SessionServer> server{new SessionServer(id, lanes_fd, control_fd)};
    server->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    server->listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!server->wake_ || !server->listener_)
        return Error{"cannot make the socket for programs of other users", errno};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = id.socket_name();
    memcpy(address.sun_path + 1, name.data(), name.size());  // sun_path[0] is 0: abstract
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (::bind(server->listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(server->listener_.get(), backlog) != 0)
        return Error{"cannot open the socket for programs of other users", errno};
    return server;
}

void SessionServer::start() {
    thread_ = std::jthread([this](const std::stop_token& stopped) { serve(stopped); });
}

void SessionServer::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    const uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
    thread_.join();
}

void SessionServer::serve(const std::stop_token& stopped) {
    std::vector<pollfd> wanted;
    while (!stopped.stop_requested()) {
        wanted.assign({{wake_.get(), POLLIN, 0}});
        // Beyond the limit new ones wait in the backlog; old ones run into their deadline.
        if (clients_.size() < clients_max) wanted.push_back({listener_.get(), POLLIN, 0});
        for (const Client& client : clients_) wanted.push_back({client.fd.get(), POLLIN, 0});
        const int timeout = clients_.empty() ? -1 : 100;
        if (::poll(wanted.data(), wanted.size(), timeout) < 0 && errno != EINTR) return;
        std::erase_if(clients_, [this](Client& client) { return finished(client); });
        accept_clients();
    }
}

void SessionServer::accept_clients() {
    while (clients_.size() < clients_max) {
        UniqueFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!client) return;
        clients_.push_back({std::move(client), monotonic_ns() + client_time_ns, {}});
    }
}

bool SessionServer::finished(Client& client) {
    char bytes[64];
    const ssize_t count = ::recv(client.fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return monotonic_ns() > client.deadline_ns;
    if (count <= 0) return true;
    client.said.append(bytes, static_cast<size_t>(count));
    if (client.said.size() < secret_.size()) return false;
    if (same_text(client.said, secret_)) hand_over(client.fd.get());
    return true;
}

void SessionServer::hand_over(int client) const {
    const int descriptors[2] = {lanes_fd_, control_fd_};
    char byte = 1;
    iovec part{&byte, 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(descriptors))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof(space);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(descriptors));
    memcpy(CMSG_DATA(header), descriptors, sizeof(descriptors));
    // One byte always fits into a fresh socket; a client that is gone is not our concern.
    ::sendmsg(client, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace remora
