// SPDX-License-Identifier: Apache-2.0
// Connections in the hands of several threads, of signal handlers and of threads that are
// cancelled; to be run under the shim:   sharing_actor WHAT PORT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "tests/preload/torture/support/recording_server.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

uint16_t port;

std::string request(const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: peer\r\nX-Filler: " + std::string(40, 'x') +
           "\r\n\r\n";
}

void expect_answers(int fd, size_t count) {
    const std::string one = plain_answer;
    for (size_t i = 0; i < count; ++i)
        if (receive_exactly(fd, one.size()) != one) fail("answer %zu is not what was sent", i);
}

// A reader and a writer, the writer with a full socket most of the time.
void full_duplex() {
    constexpr size_t count = 400;
    const int fd = connect_to_loopback(port, 2304);
    set_nonblocking(fd, true);
    std::thread reader([fd] { expect_answers(fd, count); });
    for (size_t i = 0; i < count; ++i) send_whole(fd, request("/duplex/" + std::to_string(i)));
    reader.join();
    close(fd);
}

void two_writers() {
    constexpr size_t count = 200;
    const int fd = connect_to_loopback(port);
    std::thread reader([fd] { expect_answers(fd, 2 * count); });
    const auto write_all = [fd](const char* name) {
        for (size_t i = 0; i < count; ++i) {
            const std::string text = request(name + std::to_string(i));
            if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
                fail("write");
        }
    };
    std::thread other(write_all, "/other/");
    write_all("/one/");
    other.join();
    reader.join();
    close(fd);
}

// --- signals --------------------

int handler_fd = -1;
volatile sig_atomic_t handler_calls = 0;
volatile sig_atomic_t handler_sends = 0;

void on_alarm(int) {
    handler_calls = handler_calls + 1;
    if (handler_fd < 0 || handler_calls % 8 != 0 || handler_sends >= 60) return;
    const int saved = errno;
    char text[200] = "GET /handler/00 HTTP/1.1\r\nHost: peer\r\n\r\n";
    const size_t size = strlen(text);
    text[13] = static_cast<char>('0' + handler_sends / 10);
    text[14] = static_cast<char>('0' + handler_sends % 10);
    if (send(handler_fd, text, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) _exit(98);
    handler_sends = handler_sends + 1;
    errno = saved;
}

void storm(bool on) {
    struct sigaction action = {};
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, nullptr);  // without SA_RESTART: calls end with EINTR
    const itimerval often = {{0, on ? 300 : 0}, {0, on ? 300 : 0}};
    setitimer(ITIMER_REAL, &often, nullptr);
}

void alarms() {
    const int fd = connect_to_loopback(port, 2304);
    storm(true);
    for (int i = 0; i < 200; ++i) {
        send_whole(fd, request("/alarm/" + std::to_string(i)));
        expect_answers(fd, 1);
    }
    storm(false);
    close(fd);
}

// The handler uses a connection of its own.
void handler_elsewhere() {
    const int fd = connect_to_loopback(port);
    handler_fd = connect_to_loopback(port);
    storm(true);
    for (int i = 0; i < 300 || handler_sends < 60; ++i) {
        send_whole(fd, request("/main/" + std::to_string(i)));
        expect_answers(fd, 1);
    }
    storm(false);
    expect_answers(handler_fd, static_cast<size_t>(handler_sends));
    close(fd);
    close(handler_fd);
}

// The handler sends on the connection that it interrupts: whole requests, never within one.
void handler_on_the_same() {
    const int fd = connect_to_loopback(port);
    handler_fd = fd;
    storm(true);
    size_t sent = 0;
    for (; sent < 300 || handler_sends < 60; ++sent) {
        const std::string text = request("/main/" + std::to_string(sent));
        while (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
            if (errno != EINTR) fail("write");
        expect_answers(fd, 1);
    }
    storm(false);
    expect_answers(fd, static_cast<size_t>(handler_sends));
    close(fd);
}

// --- cancellation --------------------

char sink[4096];
iovec sink_part{sink, sizeof(sink)};
// Requests, then one with a body that no socket buffer holds.
std::string outgoing;
size_t taken = 0;  // of it

const char* rest() { return outgoing.data() + taken; }
size_t rest_size() { return outgoing.size() - taken; }

msghdr message_of(iovec& part) {
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    return message;
}

struct Blocked {
    const char* name;
    void (*call)(int fd);  // blocks
    bool sends;
};

const Blocked blocking_calls[] = {
    {"read", [](int fd) { (void)!read(fd, sink, sizeof(sink)); }, false},
    {"recv", [](int fd) { recv(fd, sink, sizeof(sink), 0); }, false},
    {"recvfrom", [](int fd) { recvfrom(fd, sink, sizeof(sink), 0, nullptr, nullptr); }, false},
    {"readv", [](int fd) { (void)!readv(fd, &sink_part, 1); }, false},
    {"recvmsg",
     [](int fd) {
         msghdr message = message_of(sink_part);
         recvmsg(fd, &message, 0);
     },
     false},
    {"recvmmsg",
     [](int fd) {
         mmsghdr message{message_of(sink_part), 0};
         recvmmsg(fd, &message, 1, 0, nullptr);
     },
     false},
    {"poll",
     [](int fd) {
         pollfd one{fd, POLLIN, 0};
         poll(&one, 1, -1);
     },
     false},
    {"select",
     [](int fd) {
         fd_set set;
         FD_ZERO(&set);
         FD_SET(fd, &set);
         select(fd + 1, &set, nullptr, nullptr, nullptr);
     },
     false},
    {"epoll",
     [](int) {
         epoll_event event;
         epoll_wait(epoll_create1(EPOLL_CLOEXEC), &event, 1, -1);
     },
     false},
    {"accept",
     [](int) {
         uint16_t unused;
         accept(listen_on_loopback(unused), nullptr, nullptr);
     },
     false},
    {"accept4",
     [](int) {
         uint16_t unused;
         accept4(listen_on_loopback(unused), nullptr, nullptr, 0);
     },
     false},
    {"write", [](int fd) { (void)!write(fd, rest(), rest_size()); }, true},
    {"send", [](int fd) { send(fd, rest(), rest_size(), MSG_NOSIGNAL); }, true},
    {"sendto", [](int fd) { sendto(fd, rest(), rest_size(), MSG_NOSIGNAL, nullptr, 0); }, true},
    {"writev",
     [](int fd) {
         iovec part{const_cast<char*>(rest()), rest_size()};
         (void)!writev(fd, &part, 1);
     },
     true},
    {"sendmsg",
     [](int fd) {
         iovec part{const_cast<char*>(rest()), rest_size()};
         const msghdr message = message_of(part);
         sendmsg(fd, &message, MSG_NOSIGNAL);
     },
     true},
    {"sendmmsg",
     [](int fd) {
         iovec part{const_cast<char*>(rest()), rest_size()};
         mmsghdr message{message_of(part), 0};
         sendmmsg(fd, &message, 1, MSG_NOSIGNAL);
     },
     true},
};

void fill(int fd) {
    set_nonblocking(fd, true);
    taken = 0;
    while (taken < outgoing.size()) {
        const ssize_t n = send(fd, rest(), rest_size() < 500 ? rest_size() : 500, MSG_NOSIGNAL);
        if (n < 0) break;
        taken += static_cast<size_t>(n);
    }
    set_nonblocking(fd, false);
}

void cancel_one(const Blocked& blocked, int number) {
    const std::string name = std::string(blocked.name) + std::to_string(number);
    const int fd = connect_to_loopback(port, blocked.sends ? 2304 : 0);
    send_whole(fd, request((blocked.sends ? "/deaf/" : "/silent/") + name));
    if (blocked.sends) fill(fd);
    const std::pair<const Blocked*, int> argument{&blocked, fd};
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void* given) -> void* {
            const auto& [what, on] = *static_cast<std::pair<const Blocked*, int>*>(given);
            what->call(on);
            return nullptr;
        },
        const_cast<std::pair<const Blocked*, int>*>(&argument));
    poll(nullptr, 0, number % 3);  // now and then it isn't there yet
    pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    if (result != PTHREAD_CANCELED) fail("%s was not cancelled", blocked.name);
    close(fd);
    const int next = connect_to_loopback(port);  // has the same number
    send_whole(next, request("/after/" + name));
    expect_answers(next, 1);
    close(next);
}

void cancelled() {
    for (int i = 0; i < 100; ++i) outgoing += request("/fill/" + std::to_string(i));
    outgoing += "POST /last HTTP/1.1\r\nHost: peer\r\nContent-Length: 8000000\r\n\r\n";
    outgoing.append(8'000'000, 'b');
    for (const Blocked& blocked : blocking_calls)
        for (int i = 0; i < 4; ++i) cancel_one(blocked, i);
}

// A handler that never returns into the call that it interrupted.
sigjmp_buf out_of_here;

void jumped_out() {
    struct sigaction action = {};
    action.sa_handler = [](int) { siglongjmp(out_of_here, 1); };
    sigaction(SIGALRM, &action, nullptr);
    static int i;  // not in a register that siglongjmp() restores
    for (i = 0; i < 40; ++i) {
        const std::string name = std::to_string(i);
        const int fd = connect_to_loopback(port);
        send_whole(fd, request("/silent/jump" + name));
        if (sigsetjmp(out_of_here, 1) == 0) {
            const itimerval soon = {{0, 0}, {0, 700}};
            setitimer(ITIMER_REAL, &soon, nullptr);
            (void)!read(fd, sink, sizeof(sink));
            fail("nobody answers, and read() returned");
        }
        close(fd);
        const int next = connect_to_loopback(port);
        send_whole(next, request("/after/" + name));
        expect_answers(next, 1);
        close(next);
    }
}

// Another thread shuts the connection down, or closes it, under a blocked reader.
void ended_by_another() {
    for (int i = 0; i < 40; ++i) {
        const int fd = connect_to_loopback(port);
        send_whole(fd, request("/silent/ended" + std::to_string(i)));
        std::thread reader([fd] {
            char byte;
            while (recv(fd, &byte, 1, 0) > 0) {
            }
        });
        poll(nullptr, 0, i % 3);
        const int copy = dup(fd);
        if (i % 2 == 0) close(fd);  // the reader holds on to the socket
        shutdown(copy, SHUT_RDWR);
        reader.join();
        close(copy);
        if (i % 2 != 0) close(fd);
    }
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    const std::map<std::string, void (*)()> all = {
        {"full_duplex", full_duplex},
        {"two_writers", two_writers},
        {"alarms", alarms},
        {"handler_elsewhere", handler_elsewhere},
        {"cancelled", cancelled},
        {"handler_on_the_same", handler_on_the_same},
        {"ended_by_another", ended_by_another},
        {"jumped_out", jumped_out},
    };
    const auto found = count == 3 ? all.find(arguments[1]) : all.end();
    if (found == all.end()) fail("usage: sharing_actor WHAT PORT");
    port = static_cast<uint16_t>(atoi(arguments[2]));
    found->second();
    return 0;
}
