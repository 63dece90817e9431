// SPDX-License-Identifier: Apache-2.0
// Descriptors' numbers that change their meaning without the hooks noticing, or by the calls that
// few think of; to be run under the shim:   unseen_actor WHAT PORT
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/plain_client.h"
#include "tests/preload/torture/support/recording_server.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

const std::string file_text = [] {
    std::string text;
    while (text.size() < 20'000) text += request("/in/a/file", "X: traceparent: y\r\n");
    return text;
}();

int file_with_text() {
    char name[] = "/tmp/remora-descriptors-XXXXXX";
    const int file = mkstemp(name);
    unlink(name);
    if (file < 0 || pwrite(file, file_text.data(), file_text.size(), 0) < 0) fail("file");
    return file;
}

// Reads as programs read files: a short read is the end.
void check_file(int file) {
    std::string seen;
    for (const size_t size : {4096u, 300u, 1000u, 8192u, 8192u}) {
        std::string buffer(size, '\0');
        const ssize_t n = read(file, buffer.data(), size);
        if (n < 0) fail("read of a file");
        seen.append(buffer, 0, static_cast<size_t>(n));
        if (static_cast<size_t>(n) < size && seen.size() < file_text.size())
            fail("a file looks as if it ended after %zu bytes", seen.size());
    }
    if (seen != file_text) fail("what was read is not the file");
    if (write(file, file_text.data(), 1000) != 1000) fail("short write to a file");
    if (lseek(file, 0, SEEK_END) != static_cast<off_t>(file_text.size() + 1000))
        fail("the file has grown by something else");
}

// The connection that had the number: a client's, a server's, between messages or within one.
int used_connection(int kind) {
    const int fd = connect_to_loopback(port);
    if (kind == 0) ask(fd, "/before");
    if (kind == 1) send_whole(fd, "POST /before HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
    if (kind == 2) send_whole(fd, "GET /silent/before HTTP/1.1\r\nHo");
    return fd;
}

int served_connection(bool within) {
    uint16_t own = 0;
    const int listener = listen_on_loopback(own);
    std::thread client([own, within] {
        const int fd = connect_to_loopback(own);
        send_whole(fd, within ? "GET / HTTP/1.1\r\nHo" : request("/served"));
        char byte;
        while (recv(fd, &byte, 1, 0) > 0) {
        }
        close(fd);
    });
    const int fd = accept_one(listener);
    close(listener);
    std::string in;
    while (in.size() < 18) {
        char buffer[1000];
        const ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n <= 0) fail("read");
        in.append(buffer, static_cast<size_t>(n));
    }
    if (!within) send_whole(fd, plain_answer);
    const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 300);
    client.detach();
    shutdown(copy, SHUT_WR);
    raw(SYS_close, copy);
    return fd;
}

void becomes_a_file() {
    for (int kind = 0; kind < 5; ++kind) {
        const int file = file_with_text();
        const int fd = kind < 3 ? used_connection(kind) : served_connection(kind == 4);
        raw(SYS_close, fd);
        if (raw(SYS_dup2, file, fd) != fd) fail("raw dup2");  // the same number, unseen
        close(file);
        lseek(fd, 0, SEEK_SET);
        check_file(fd);
        close(fd);
    }
}

// Bytes that the old connection's state would take for the end of a body and a new head.
void becomes_another_socket() {
    const int old = used_connection(1);
    raw(SYS_close, old);
    const int fresh = static_cast<int>(raw(SYS_socket, AF_INET, SOCK_STREAM, 0));
    if (fresh != old) raw(SYS_dup2, fresh, old);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (raw(SYS_connect, old, reinterpret_cast<long>(&address), sizeof(address)) != 0)
        fail("raw connect");
    const std::string body = std::string(97 - 60, 'x') + request("/not/a/head", "X-A: b\r\n") +
                             request("/not/a/head/either") + std::string(300, 'y');
    send_whole(old, "POST /other/socket HTTP/1.1\r\nHost: p\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n");
    send_whole(old, body);
    expect_answer(old);
    close(old);
}

void closed_by_stdio() {
    for (int i = 0; i < 5; ++i) {
        const int fd = connect_to_loopback(port);
        ask(fd, "/stdio/" + std::to_string(i));
        FILE* stream = fdopen(fd, "r+");
        if (stream == nullptr) fail("fdopen");
        fprintf(stream, "%s", request("/printed/" + std::to_string(i)).c_str());
        fflush(stream);
        fclose(stream);
        const int file = file_with_text();  // gets the number
        check_file(file);
        close(file);
        const int next = connect_to_loopback(port);
        ask(next, "/after/" + std::to_string(i));
        close(next);
    }
}

void closed_in_ranges() {
    for (int i = 0; i < 10; ++i) {
        const int first = connect_to_loopback(port), second = connect_to_loopback(port);
        send_whole(first, "POST /ranges HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        ask(second, "/range/" + std::to_string(i));
        if (i % 3 == 0)
            close_range(static_cast<unsigned>(first), ~0u, 0);
        else if (i % 3 == 1)
            closefrom(first);
        else
            for (int fd = first; fd <= second; ++fd) syscall(SYS_close, fd);
        const int next = connect_to_loopback(port);
        if (next > second) fail("the numbers were not free");
        ask(next, "/after/" + std::to_string(i));
        close(next);
    }
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    const std::map<std::string, void (*)()> all = {
        {"becomes_a_file", becomes_a_file},
        {"becomes_another_socket", becomes_another_socket},
        {"closed_by_stdio", closed_by_stdio},
        {"closed_in_ranges", closed_in_ranges},
    };
    const auto found = count == 3 ? all.find(arguments[1]) : all.end();
    if (found == all.end()) fail("usage: unseen_actor WHAT PORT");
    port = static_cast<uint16_t>(atoi(arguments[2]));
    found->second();
    return 0;
}
