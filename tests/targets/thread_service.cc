// SPDX-License-Identifier: Apache-2.0
// A plain C++ service, a thread for each connection, blocking sockets:
//
//   thread_service PORT DOWNSTREAM_PORT CALLS
//
// GET /call/<n> asks the downstream for /down/<n> over the thread's kept connection. CALLS names
// the calls that move bytes: "send" (send, recv), "write" (write, read), "vector" (writev, readv),
// "message" (sendmsg, recvmsg), "to" (sendto, recvfrom). Ends at SIGTERM.
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

std::string calls;

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

ssize_t send_some(int fd, const char* data, size_t size) {
    if (calls == "write") return write(fd, data, size);
    if (calls == "to") return sendto(fd, data, size, MSG_NOSIGNAL, nullptr, 0);
    // Cut in two where the call takes several pieces.
    char* bytes = const_cast<char*>(data);
    iovec pieces[2] = {{bytes, size / 2}, {bytes + size / 2, size - size / 2}};
    if (calls == "vector") return writev(fd, pieces, 2);
    if (calls == "message") {
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        return sendmsg(fd, &message, MSG_NOSIGNAL);
    }
    return send(fd, data, size, MSG_NOSIGNAL);
}

ssize_t receive_some(int fd, char* data, size_t size) {
    if (calls == "write") return read(fd, data, size);
    if (calls == "to") return recvfrom(fd, data, size, 0, nullptr, nullptr);
    iovec pieces[2] = {{data, size / 2}, {data + size / 2, size - size / 2}};
    if (calls == "vector") return readv(fd, pieces, 2);
    if (calls == "message") {
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        return recvmsg(fd, &message, 0);
    }
    return recv(fd, data, size, 0);
}

bool send_all(int fd, const std::string& text) {
    for (size_t sent = 0; sent < text.size();) {
        const ssize_t n = send_some(fd, text.data() + sent, text.size() - sent);
        if (n <= 0) return false;
        sent += static_cast<size_t>(n);
    }
    return true;
}

// Reads until `until` stands in the text, and `more` bytes after it.
bool receive_until(int fd, std::string& text, const std::string& until, size_t more) {
    for (;;) {
        const size_t at = text.find(until);
        if (at != std::string::npos && text.size() >= at + until.size() + more) return true;
        char buffer[4096];
        const ssize_t n = receive_some(fd, buffer, sizeof(buffer));
        if (n <= 0) return false;
        text.append(buffer, static_cast<size_t>(n));
    }
}

size_t content_length(const std::string& head) {
    const size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : strtoul(head.c_str() + at + 16, nullptr, 10);
}

std::string call_downstream(int fd, const std::string& number) {
    std::string text;
    if (!send_all(fd, "GET /down/" + number + " HTTP/1.1\r\nHost: down\r\n\r\n") ||
        !receive_until(fd, text, "\r\n\r\n", 0))
        return "downstream failed";
    const size_t head = text.find("\r\n\r\n") + 4;
    const size_t length = content_length(text);
    if (!receive_until(fd, text, "\r\n\r\n", length)) return "downstream failed";
    return text.substr(head, length);
}

void serve(int connection, int downstream_port) {
    const int downstream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(downstream_port);
    connect(downstream, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    std::string input;
    while (receive_until(connection, input, "\r\n\r\n", 0)) {
        const size_t end = input.find("\r\n\r\n") + 4;
        const std::string path = input.substr(4, input.find(' ', 4) - 4);
        const bool call = path.compare(0, 6, "/call/") == 0;
        const std::string body =
            call ? call_downstream(downstream, path.substr(6)) : input.substr(0, end);
        input.erase(0, end);
        if (!send_all(connection, "HTTP/1.1 200 OK\r\nContent-Length: " +
                                      std::to_string(body.size()) + "\r\n\r\n" + body))
            break;
    }
    close(downstream);
    close(connection);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: thread_service PORT DOWNSTREAM_PORT CALLS\n");
        return 2;
    }
    calls = argv[3];
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(atoi(argv[1]));
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener, 512) != 0) {
        perror("thread_service: listen");
        return 1;
    }
    for (;;) {
        const int connection = accept(listener, nullptr, nullptr);
        if (connection >= 0) std::thread(serve, connection, atoi(argv[2])).detach();
    }
}
