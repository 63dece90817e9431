// SPDX-License-Identifier: Apache-2.0
// Descriptors that are copied, passed, inherited, closed behind libc's back and used again; to be
// run under the shim:   descriptors_actor WHAT PORT
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

// --- copies --------------------

// One request over several numbers of one socket.
void copies() {
    for (int i = 0; i < 30; ++i) {
        const std::string text = request("/copy/" + std::to_string(i));
        const int fd = connect_to_loopback(port);
        int copy = -1;
        switch (i % 5) {
            case 0: copy = dup(fd); break;
            case 1: copy = dup2(fd, 500 + i); break;
            case 2: copy = dup3(fd, 500 + i, O_CLOEXEC); break;
            case 3: copy = fcntl(fd, F_DUPFD, 400); break;
            default: copy = fcntl(fd, F_DUPFD_CLOEXEC, 400); break;
        }
        if (copy < 0) fail("copy");
        const size_t half = text.size() / 2;
        send_whole(fd, text.substr(0, half));
        if (i % 2 == 0) close(fd);
        send_whole(copy, text.substr(half));
        expect_answer(i % 2 == 0 ? copy : fd);
        ask(copy, "/again/" + std::to_string(i));
        if (i % 2 != 0) close(fd);
        close(copy);
    }
}

// dup2() onto a connection in use: the old one ends, the number is the new one's.
void put_over() {
    const int fd = connect_to_loopback(port);
    for (int i = 0; i < 20; ++i) {
        send_whole(
            fd, "POST /half/" + std::to_string(i) + " HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        const int fresh = connect_to_loopback(port);
        if (dup2(fresh, fd) != fd) fail("dup2");
        close(fresh);
        ask(fd, "/over/" + std::to_string(i));
    }
    close(fd);
}

// Numbers beyond the first 65,536.
void high_numbers() {
    const rlimit limit{200'000, 200'000};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(77);
    for (int i = 0; i < 5; ++i) {
        const int low = connect_to_loopback(port);
        const int high = fcntl(low, F_DUPFD, 65'530 + 20'000 * i);
        if (high < 0) fail("F_DUPFD");
        close(low);
        ask(high, "/high/" + std::to_string(i));
        close(high);
    }
}

// --- processes --------------------

void in_child(void (*work)(int), int fd) {
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        work(fd);
        exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) fail("the child failed: %d", status);
}

void forked() {
    const int idle = connect_to_loopback(port);
    ask(idle, "/fork/0");
    in_child(
        [](int fd) {
            ask(fd, "/fork/1");
            close(fd);
        },
        idle);
    ask(idle, "/fork/2");
    // Open while the child comes and goes, and closes it.
    send_whole(idle, "GET /fork/3 HTTP/1.1\r\nHo");
    in_child([](int fd) { close(fd); }, idle);
    send_whole(idle, "st: a\r\n\r\n");
    expect_answer(idle);
    // Begun here, ended by the child.
    send_whole(idle, "GET /continued HTTP/1.1\r\nHo");
    in_child(
        [](int fd) {
            send_whole(fd, "st: a\r\n\r\n");
            expect_answer(fd);
        },
        idle);
    close(idle);
    const int fresh = connect_to_loopback(port);
    in_child([](int fd) { ask(fd, "/fork/4"); }, fresh);
    close(fresh);
}

void pass(int through, int fd) {
    char byte = 'x';
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    if (sendmsg(through, &message, 0) != 1) fail("sendmsg of a descriptor");
}

int take(int through) {
    char byte;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (recvmsg(through, &message, 0) != 1) fail("recvmsg of a descriptor");
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return fd;
}

// A connection that arrives in a message, under a number that was another's.
void passed() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) fail("socketpair");
    for (int i = 0; i < 20; ++i) {
        const int fd = connect_to_loopback(port);
        const int old = connect_to_loopback(port);
        send_whole(old, "POST /old HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
        pass(ends[0], fd);
        if (i % 2 == 0)
            close(old);
        else
            raw(SYS_close, old);  // its state is still there
        const int arrived = take(ends[1]);
        if (arrived != old) fail("expected the number to be used again");
        close(fd);
        ask(arrived, "/passed/" + std::to_string(i));
        close(arrived);
    }
}

// HTTP over a socketpair, both ends ours: the server end is told the id of the server span.
void unix_pair() {
    for (int i = 0; i < 20; ++i) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) fail("socketpair");
        std::thread client([end = ends[0], i] { ask(end, "/pair/" + std::to_string(i)); });
        std::string in;
        while (head_size_at(in, 0) == 0) {
            char buffer[4096];
            const ssize_t n = recv(ends[1], buffer, sizeof(buffer), 0);
            if (n <= 0) fail("recv");
            in.append(buffer, static_cast<size_t>(n));
        }
        send_whole(ends[1], plain_answer);
        client.join();
        close(ends[0]);
        close(ends[1]);
        printf("%s", in.c_str());
    }
}

// --- ends --------------------

void reset_by_peer() {
    for (int i = 0; i < 10; ++i) {
        const int fd = connect_to_loopback(port);
        send_whole(fd, request("/reset/" + std::to_string(i)));
        ssize_t n;
        char buffer[64];
        while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
        }
        if (n != -1 || errno != ECONNRESET) fail("expected ECONNRESET, got %zd", n);
        close(fd);
    }
}

void half_closed() {
    for (int i = 0; i < 10; ++i) {
        const int fd = connect_to_loopback(port);
        send_whole(fd, request("/close/" + std::to_string(i)));
        shutdown(fd, SHUT_WR);
        if (receive_until_end(fd) != "HTTP/1.1 200 OK\r\n\r\nto the end") fail("another answer");
        close(fd);
    }
}

uint64_t realtime() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// The same descriptor connects at the second attempt; prints when that began.
void connected_later() {
    for (int i = 0; i < 4; ++i) {
        const int fd = socket(AF_INET, SOCK_STREAM | (i % 2 == 0 ? 0 : SOCK_NONBLOCK), 0);
        uint16_t nobody = 0;
        close(listen_on_loopback(nobody));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(nobody);
        auto* to = reinterpret_cast<sockaddr*>(&address);
        int result = connect(fd, to, sizeof(address));
        if (result != 0 && errno == EINPROGRESS) {
            await(fd, POLLOUT, "fail to connect");
            socklen_t size = sizeof(errno);
            int error = 0;
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
            errno = error;
        }
        if (result == 0 || errno != ECONNREFUSED) fail("who answers there?");
        poll(nullptr, 0, 20);
        printf("%d %llu\n", i, static_cast<unsigned long long>(realtime()));
        address.sin_port = htons(port);
        // Linux answers the first one after a failure with this.
        while ((result = connect(fd, to, sizeof(address))) != 0 && errno == ECONNABORTED) {
        }
        if (result != 0 && errno == EINPROGRESS)
            await(fd, POLLOUT, "connect");
        else if (result != 0)
            fail("connect again");
        ask(fd, "/later/" + std::to_string(i));
        close(fd);
    }
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    const std::map<std::string, void (*)()> all = {
        {"copies", copies},
        {"put_over", put_over},
        {"high_numbers", high_numbers},
        {"forked", forked},
        {"passed", passed},
        {"unix_pair", unix_pair},
        {"reset_by_peer", reset_by_peer},
        {"half_closed", half_closed},
        {"connected_later", connected_later},
    };
    const auto found = count == 3 ? all.find(arguments[1]) : all.end();
    if (found == all.end()) fail("usage: descriptors_actor WHAT PORT");
    port = static_cast<uint16_t>(atoi(arguments[2]));
    found->second();
    return 0;
}
