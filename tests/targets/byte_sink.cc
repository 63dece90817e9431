// SPDX-License-Identifier: Apache-2.0
// byte_sink PORT: reads from every connection to its end, by calls and sizes of all kinds, and then
// sends back exactly what it was handed. Ends at SIGTERM.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

// The n-th connection reads in the n-th way: in one large buffer, as most programs do, or otherwise.
ssize_t receive(int fd, unsigned way, char* buffer, size_t size) {
    switch (way % 6) {
        case 0: return recv(fd, buffer, size, 0);
        case 1: return read(fd, buffer, 4096);
        case 2: return recv(fd, buffer, 300, 0);
        case 3: return recv(fd, buffer, 7, 0);
        case 4: {
            iovec parts[2] = {{buffer, 50}, {buffer + 50, size - 50}};
            return readv(fd, parts, 2);
        }
        default: {
            recv(fd, buffer, size, MSG_PEEK);
            return recv(fd, buffer, size, 0);
        }
    }
}

void serve(int connection, unsigned way) {
    static thread_local char buffer[262144];
    std::string all;
    ssize_t count;
    while ((count = receive(connection, way, buffer, sizeof(buffer))) > 0)
        all.append(buffer, static_cast<size_t>(count));
    for (size_t sent = 0; sent < all.size();) {
        const ssize_t n = send(connection, all.data() + sent, all.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<size_t>(n);
    }
    close(connection);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: byte_sink PORT\n");
        return 2;
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(atoi(argv[1])));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener, 512) != 0) {
        perror("byte_sink: listen");
        return 1;
    }
    for (unsigned way = 0;; ++way) {
        const int connection = accept(listener, nullptr, nullptr);
        if (connection >= 0) std::thread(serve, connection, way).detach();
    }
}
