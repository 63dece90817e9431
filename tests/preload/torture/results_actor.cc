// SPDX-License-Identifier: Apache-2.0
// Makes odd calls on sockets of all kinds and in all states and prints what each returned and what
// it left in errno. Run bare and under the shim, it must say the same.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/preload/torture/support/sockets.h"

// What the compiler warns of is what this program is for.
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wrestrict"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overread"
#endif

extern "C" ssize_t __recv_chk(int fd, void* data, size_t size, size_t room, int flags);

namespace torture {
namespace {

volatile sig_atomic_t pipes_broken = 0;
char bytes[100'000];
char* const wild = reinterpret_cast<char*>(-1);
char* const low = reinterpret_cast<char*>(1);
char* forbidden;  // mapped, not readable, not writable
std::string where;

// errno is set before each call: a call that succeeds leaves it.
#define SAY(call)                                                                           \
    do {                                                                                    \
        errno = 77;                                                                         \
        const long result = static_cast<long>(call);                                        \
        printf("%s: %s = %ld, errno %d, %d signals\n", where.c_str(), #call, result, errno, \
               static_cast<int>(pipes_broken));                                             \
    } while (false)

msghdr message(iovec* parts, size_t count) {
    msghdr out{};
    out.msg_iov = parts;
    out.msg_iovlen = count;
    return out;
}

void all_reads(int fd, int flags) {
    iovec good[2] = {{bytes, 10}, {bytes + 10, 20}};
    iovec bad[2] = {{wild, 10}, {low, 20}};
    iovec closed[1] = {{forbidden, 10}};
    msghdr plain = message(good, 2), wrong = message(bad, 2),
           nowhere = message(reinterpret_cast<iovec*>(wild), 1);
    msghdr many = message(good, 5000);
    mmsghdr list[2] = {{plain, 0}, {plain, 0}};
    SAY(recv(fd, bytes, 100, flags));
    SAY(recv(fd, bytes, 0, flags));
    SAY(recv(fd, nullptr, 0, flags));
    SAY(recv(fd, nullptr, 100, flags));
    SAY(recv(fd, wild, 100, flags));
    SAY(recv(fd, forbidden, 100, flags));
    SAY(__recv_chk(fd, bytes, 100, 100, flags));
    SAY(recvfrom(fd, bytes, 100, flags, nullptr, nullptr));
    SAY(recvfrom(fd, bytes, 100, flags, reinterpret_cast<sockaddr*>(bytes),
                 reinterpret_cast<socklen_t*>(wild)));
    SAY(recvmsg(fd, &plain, flags));
    SAY(recvmsg(fd, &wrong, flags));
    SAY(recvmsg(fd, &nowhere, flags));
    SAY(recvmsg(fd, &many, flags));
    SAY(recvmsg(fd, reinterpret_cast<msghdr*>(wild), flags));
    SAY(recvmsg(fd, nullptr, flags));
    SAY(recvmmsg(fd, list, 2, flags | MSG_WAITFORONE, nullptr));
    SAY(recvmmsg(fd, reinterpret_cast<mmsghdr*>(wild), 2, flags, nullptr));
    SAY(recv(fd, bytes, 100, flags | MSG_OOB));
    SAY(recv(fd, bytes, 100, flags | MSG_ERRQUEUE));
    SAY(recv(fd, bytes, 100, flags | MSG_PEEK));
    SAY(recv(fd, bytes, 5, flags | MSG_TRUNC));
    if (flags & MSG_DONTWAIT) return;
    SAY(read(fd, bytes, 100));
    SAY(read(fd, bytes, 0));
    SAY(read(fd, wild, 100));
    SAY(readv(fd, good, 2));
    SAY(readv(fd, good, 0));
    SAY(readv(fd, good, -1));
    SAY(readv(fd, good, 5000));
    SAY(readv(fd, bad, 2));
    SAY(readv(fd, closed, 1));
    SAY(readv(fd, reinterpret_cast<iovec*>(wild), 2));
    SAY(readv(fd, nullptr, 2));
}

void all_writes(int fd, int flags) {
    iovec good[3] = {{bytes, 10}, {nullptr, 0}, {bytes + 10, 20}};
    iovec bad[2] = {{bytes, 10}, {wild, 20}};
    msghdr plain = message(good, 3), wrong = message(bad, 2),
           nowhere = message(reinterpret_cast<iovec*>(low), 1);
    msghdr many = message(good, 5000);
    mmsghdr list[2] = {{plain, 0}, {plain, 0}};
    mmsghdr half[2] = {{plain, 0}, {wrong, 0}};
    SAY(send(fd, bytes, 100, flags));
    SAY(send(fd, bytes, 0, flags));
    SAY(send(fd, nullptr, 0, flags));
    SAY(send(fd, nullptr, 10, flags));
    SAY(send(fd, wild, 10, flags));
    SAY(send(fd, low, 10, flags));
    SAY(sendto(fd, bytes, 10, flags, nullptr, 0));
    SAY(sendto(fd, bytes, 10, flags, reinterpret_cast<sockaddr*>(wild), 16));
    SAY(sendmsg(fd, &plain, flags));
    SAY(sendmsg(fd, &wrong, flags));
    SAY(sendmsg(fd, &nowhere, flags));
    SAY(sendmsg(fd, &many, flags));
    SAY(sendmsg(fd, nullptr, flags));
    SAY(sendmsg(fd, reinterpret_cast<msghdr*>(wild), flags));
    SAY(sendmmsg(fd, list, 2, flags));
    SAY(sendmmsg(fd, list, 0, flags));
    SAY(sendmmsg(fd, half, 2, flags));
    SAY(sendmmsg(fd, reinterpret_cast<mmsghdr*>(low), 2, flags));
    SAY(send(fd, bytes, 10, flags | 0x40000000));
    if (flags & MSG_DONTWAIT) return;
    SAY(write(fd, bytes, 100));
    SAY(write(fd, bytes, 0));
    SAY(write(fd, wild, 10));
    SAY(write(fd, nullptr, 10));
    SAY(writev(fd, good, 3));
    SAY(writev(fd, good, 0));
    SAY(writev(fd, good, -1));
    SAY(writev(fd, good, 5000));
    SAY(writev(fd, bad, 2));
    SAY(writev(fd, nullptr, 1));
    SAY(writev(fd, reinterpret_cast<iovec*>(wild), 1));
}

void all_others(int fd) {
    int value = 0;
    socklen_t size = sizeof(value);
    sockaddr_storage address{};
    socklen_t address_size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    off_t offset = 0;
    off_t negative = -5;
    loff_t at = 0;
    const int file = memfd_create("f", 0);
    SAY(ftruncate(file, 100));
    SAY(sendfile(fd, file, &offset, 10));
    SAY(sendfile(fd, file, &negative, 10));
    SAY(sendfile(fd, file, reinterpret_cast<off_t*>(wild), 10));
    SAY(sendfile(fd, -1, nullptr, 10));
    SAY(splice(fd, nullptr, fd, nullptr, 10, 0));
    SAY(splice(file, nullptr, fd, nullptr, 10, 0));
    SAY(splice(fd, &at, file, nullptr, 10, SPLICE_F_NONBLOCK));
    SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size));
    SAY(value);
    SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, nullptr, &size));
    SAY(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, reinterpret_cast<socklen_t*>(wild)));
    SAY(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, nullptr, 4));
    SAY(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof(value)));
    SAY(ioctl(fd, FIONREAD, &value));
    SAY(ioctl(fd, FIONREAD, wild));
    SAY(ioctl(fd, FIONBIO, nullptr));
    SAY(ioctl(fd, 0x1234, 5));
    SAY(fcntl(fd, F_GETFL));
    SAY(fcntl(fd, F_DUPFD, -1));
    SAY(fcntl(fd, 9999, 0));
    SAY(accept(fd, any, &address_size));
    SAY(accept4(fd, any, &address_size, 0x7000));
    SAY(accept(fd, reinterpret_cast<sockaddr*>(wild), &address_size));
    SAY(connect(fd, nullptr, 16));
    SAY(connect(fd, reinterpret_cast<sockaddr*>(wild), 16));
    SAY(connect(fd, any, 1));
    SAY(connect(fd, any, 100'000));
    SAY(dup2(fd, -1));
    SAY(dup2(fd, INT_MAX));
    SAY(dup2(fd, fd) == fd);
    SAY(dup3(fd, fd, 0));
    SAY(dup3(fd, 400, 12345));
    SAY(shutdown(fd, 17));
    SAY(close(file));
}

void every_call(int fd, int flags) {
    all_reads(fd, flags);
    all_writes(fd, flags);
    all_others(fd);
}

void pair_of(int domain, int (&ends)[2]) {
    if (domain == AF_UNIX) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) fail("socketpair");
        return;
    }
    uint16_t port = 0;
    const int listener = listen_on_loopback(port);
    ends[0] = connect_to_loopback(port);
    ends[1] = accept_one(listener);
    close(listener);
}

// So many bytes wait to be read that nothing blocks.
void stock(int fd) {
    memset(bytes, 'a', sizeof(bytes));
    if (send(fd, bytes, 60'000, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0) fail("stock");
}

void states_of_a_pair(int domain, const char* family) {
    int ends[2];
    for (const bool followed : {false, true}) {
        const std::string name = std::string(family) + (followed ? ", followed" : "");
        const auto begin = [&](const char* state) {
            pair_of(domain, ends);
            where = name + ", " + state;
            // Within the body of a request, where every byte is allowed.
            if (followed)
                send_whole(ends[0], "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n");
            stock(ends[1]);
        };
        const auto end = [&] {
            close(ends[0]);
            close(ends[1]);
        };
        begin("open");
        every_call(ends[0], 0);
        end();
        begin("peer shut down");
        shutdown(ends[1], SHUT_WR);
        every_call(ends[0], MSG_DONTWAIT);
        receive_until_end(ends[0]);
        all_reads(ends[0], 0);
        end();
        begin("shut down");
        shutdown(ends[0], SHUT_WR);
        all_writes(ends[0], 0);
        all_writes(ends[0], MSG_NOSIGNAL);
        end();
        begin("peer closed");
        close(ends[1]);
        every_call(ends[0], 0);
        every_call(ends[0], MSG_NOSIGNAL);
        close(ends[0]);
        where = name + ", closed";
        every_call(ends[0], 0);
    }
}

void reset_connection() {
    for (const bool followed : {false, true}) {
        int ends[2];
        pair_of(AF_INET, ends);
        where = followed ? "reset, followed" : "reset";
        if (followed) send_whole(ends[0], "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n");
        const linger now{1, 0};
        setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(ends[1]);
        await(ends[0], POLLIN, "see the reset");
        SAY(read(ends[0], bytes, 100));
        SAY(read(ends[0], bytes, 100));
        SAY(write(ends[0], bytes, 100));
        SAY(send(ends[0], bytes, 100, MSG_NOSIGNAL));
        close(ends[0]);
    }
}

void timeouts() {
    for (const int domain : {AF_INET, AF_UNIX}) {
        int ends[2];
        pair_of(domain, ends);
        where = domain == AF_INET ? "TCP, time-out" : "unix, time-out";
        const timeval soon{0, 20'000};
        setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
        setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
        SAY(read(ends[0], bytes, 400));
        SAY(recv(ends[0], bytes, 400, MSG_WAITALL));
        SAY(recv(ends[0], bytes, 400, MSG_DONTWAIT));
        while (write(ends[0], bytes, sizeof(bytes)) > 0) {
        }
        SAY(write(ends[0], bytes, sizeof(bytes)));
        SAY(send(ends[0], bytes, sizeof(bytes), MSG_DONTWAIT));
        set_nonblocking(ends[0], true);
        SAY(read(ends[0], bytes, 400));
        SAY(write(ends[0], bytes, 400));
        close(ends[0]);
        close(ends[1]);
    }
}

void waiting() {
    where = "waiting";
    int ends[2];
    pair_of(AF_INET, ends);
    pollfd some[2] = {{ends[0], POLLIN, 0}, {-1, POLLIN, 0}};
    epoll_event event{};
    const int epoll = epoll_create1(0);
    SAY(poll(some, 2, 0));
    SAY(poll(nullptr, 0, 0));
    SAY(poll(nullptr, 1, 0));
    SAY(poll(reinterpret_cast<pollfd*>(wild), 1, 0));
    SAY(select(-1, nullptr, nullptr, nullptr, nullptr));
    timeval none{0, 0};
    SAY(select(0, nullptr, nullptr, nullptr, &none));
    SAY(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], nullptr));
    SAY(epoll_ctl(epoll, EPOLL_CTL_ADD, -1, &event));
    SAY(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], &event));
    SAY(epoll_wait(epoll, &event, 0, 0));
    SAY(epoll_wait(epoll, nullptr, 1, 0));
    SAY(epoll_wait(ends[0], &event, 1, 0));
    SAY(close_range(10, 5, 0));
    SAY(close_range(1000, 2000, 77));
    SAY(close(-1));
    SAY(close(epoll));
    SAY(close(epoll));
}

}  // namespace
}  // namespace torture

int main() {
    using namespace torture;
    struct sigaction action = {};
    action.sa_handler = [](int) { pipes_broken = pipes_broken + 1; };
    sigaction(SIGPIPE, &action, nullptr);
    forbidden =
        static_cast<char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    states_of_a_pair(AF_INET, "TCP");
    states_of_a_pair(AF_UNIX, "unix");
    reset_connection();
    timeouts();
    waiting();
    for (const int fd : {-1, 9999, INT_MAX, INT_MIN}) {
        where = "descriptor " + std::to_string(fd);
        every_call(fd, 0);
    }
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) fail("pipe");
    where = "pipe";
    all_reads(ends[0], 0);
    all_writes(ends[1], 0);
    all_others(ends[0]);
    where = "file";
    const int file = memfd_create("file", 0);
    every_call(file, 0);
    where = "datagrams";
    const int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    every_call(datagrams, 0);
    where = "listener";
    uint16_t port = 0;
    const int listener = listen_on_loopback(port);
    set_nonblocking(listener, true);
    every_call(listener, 0);
    where = "unconnected";
    const int unconnected = socket(AF_INET, SOCK_STREAM, 0);
    every_call(unconnected, 0);
    return 0;
}
