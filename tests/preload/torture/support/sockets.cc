// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace torture {

void fail(const char* what, ...) {
    const int number = errno;
    va_list list;
    va_start(list, what);
    fprintf(stderr, "FAILED (pid %d): ", static_cast<int>(getpid()));
    vfprintf(stderr, what, list);
    fprintf(stderr, " (errno %d: %s)\n", number, strerror(number));
    va_end(list);
    fflush(stderr);
    _exit(99);
}

namespace {

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void set_buffer(int fd, int which, int size) {
    if (size != 0 && setsockopt(fd, SOL_SOCKET, which, &size, sizeof(size)) != 0)
        fail("setsockopt of a buffer of %d", size);
}

}  // namespace

int listen_on_loopback(uint16_t& port, int receive_buffer, int backlog) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    set_buffer(fd, SO_RCVBUF, receive_buffer);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
    if (listen(fd, backlog) != 0) fail("listen");
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
    port = ntohs(address.sin_port);
    return fd;
}

int connect_to_loopback(uint16_t port, int send_buffer, int receive_buffer) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    set_buffer(fd, SO_SNDBUF, send_buffer);
    set_buffer(fd, SO_RCVBUF, receive_buffer);
    const sockaddr_in address = loopback(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        fail("connect to port %u", port);
    return fd;
}

int try_to_connect(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return fd;
    close(fd);
    return -1;
}

int accept_one(int listener) {
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) return fd;
        if (errno != EINTR && errno != ECONNABORTED) fail("accept");
    }
}

void set_nonblocking(int fd, bool nonblocking) {
    const int flags = fcntl(fd, F_GETFL);
    if (fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0)
        fail("fcntl(F_SETFL)");
}

void await(int fd, short events, const char* what) {
    for (;;) {
        pollfd one{fd, events, 0};
        const int ready = poll(&one, 1, patience_ms);
        if (ready > 0) return;
        if (ready == 0) fail("stalled: waited %d ms to %s", patience_ms, what);
        if (errno != EINTR) fail("poll to %s", what);
    }
}

void send_whole(int fd, const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += static_cast<size_t>(n);
        } else if (errno == EAGAIN) {
            await(fd, POLLOUT, "send");
        } else if (errno != EINTR) {
            fail("send of %zu bytes", bytes.size());
        }
    }
}

std::string receive_until_end(int fd) {
    std::string out;
    for (;;) {
        char buffer[16384];
        const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n == 0) return out;
        if (n > 0)
            out.append(buffer, static_cast<size_t>(n));
        else if (errno == EAGAIN)
            await(fd, POLLIN, "receive");
        else if (errno != EINTR)
            fail("recv after %zu bytes", out.size());
    }
}

std::string receive_exactly(int fd, size_t size) {
    std::string out(size, '\0');
    for (size_t got = 0; got < size;) {
        const ssize_t n = recv(fd, out.data() + got, size - got, 0);
        if (n > 0)
            got += static_cast<size_t>(n);
        else if (n == 0)
            fail("the stream ended after %zu of %zu bytes", got, size);
        else if (errno == EAGAIN)
            await(fd, POLLIN, "receive");
        else if (errno != EINTR)
            fail("recv after %zu of %zu bytes", got, size);
    }
    return out;
}

}  // namespace torture
