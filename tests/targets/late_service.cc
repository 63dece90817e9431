// SPDX-License-Identifier: Apache-2.0
// A service of one thread and blocking sockets whose answers come late, or in ways that a library
// in front of libc can't see:
//
//   late_service PORT DOWNSTREAM_PORT HOW
//
// GET /<n> asks the downstream for /down/<n> over a connection of its own, then answers. HOW:
// "together" (answers to pipelined requests are gathered and sent when the input is used up),
// "raw" (a system call without libc), "syscall" (libc's syscall()), "dprintf", "stdio" (a FILE on a
// copy of the descriptor). Ends at SIGTERM.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void call_downstream(int port, const std::string& number) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    const std::string request = "GET /down/" + number + " HTTP/1.1\r\nHost: down\r\n\r\n";
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char answer[4096];
    if (recv(fd, answer, sizeof(answer), 0) < 0) perror("late_service: downstream");
    close(fd);
}

void say(int fd, const std::string& text, const std::string& how) {
    long taken = 0;
    if (how == "raw") {
        __asm__ volatile("syscall"
                         : "=a"(taken)
                         : "a"(long{SYS_write}), "D"(long{fd}), "S"(text.data()), "d"(text.size())
                         : "rcx", "r11", "memory");
    } else if (how == "syscall") {
        taken = syscall(SYS_write, fd, text.data(), text.size());
    } else if (how == "dprintf") {
        taken = dprintf(fd, "%s", text.c_str());
    } else if (how == "stdio") {
        FILE* file = fdopen(dup(fd), "w");
        taken = fputs(text.c_str(), file);
        fclose(file);
    } else {
        taken = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    }
    if (taken < 0) perror("late_service: answer");
}

void serve(int connection, int downstream, const std::string& how) {
    std::string input, answers;
    for (;;) {
        const size_t end = input.find("\r\n\r\n");
        if (end == std::string::npos) {
            if (!answers.empty()) say(connection, answers, how);
            answers.clear();
            char buffer[4096];
            const ssize_t size = recv(connection, buffer, sizeof(buffer), 0);
            if (size <= 0) break;
            input.append(buffer, static_cast<size_t>(size));
            continue;
        }
        call_downstream(downstream, input.substr(5, input.find(' ', 5) - 5));
        input.erase(0, end + 4);
        answers += "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    }
    close(connection);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: late_service PORT DOWNSTREAM_PORT HOW\n");
        return 2;
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(atoi(argv[1]));
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener, 64) != 0) {
        perror("late_service: listen");
        return 1;
    }
    for (;;) {
        const int connection = accept(listener, nullptr, nullptr);
        if (connection >= 0) serve(connection, atoi(argv[2]), argv[3]);
    }
}
