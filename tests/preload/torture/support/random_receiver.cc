// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/random_receiver.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/preload/torture/support/sockets.h"

// What FORTIFY turns reads into.
extern "C" ssize_t __read_chk(int fd, void* data, size_t size, size_t room);
extern "C" ssize_t __recv_chk(int fd, void* data, size_t size, size_t room, int flags);
extern "C" ssize_t __recvfrom_chk(int fd, void* data, size_t size, size_t room, int flags,
                                  sockaddr* from, socklen_t* from_size);

namespace torture {
namespace {

constexpr size_t guard_size = 96;  // more than an inserted line
constexpr char guard_byte = '\x5a';

}  // namespace

ReceivePlan ReceivePlan::of(Random& random) {
    ReceivePlan plan;
    plan.waiting = random.pick({Waiting::blocking, Waiting::poll, Waiting::edge});
    plan.max_piece = random.pick<size_t>({1, 7, 100, 279, 280, 281, 1024, 4096, 65'536, 65'536});
    plan.peeks = random.chance(15);
    plan.exact = random.chance(15);
    plan.many = random.chance(20);
    plan.vectors = random.chance(40);
    return plan;
}

RandomReceiver::RandomReceiver(int fd, Random random, const ReceivePlan& plan)
    : fd_(fd), random_(random), plan_(plan) {
    set_nonblocking(fd, plan.waiting != Waiting::blocking);
    if (plan.waiting != Waiting::edge) return;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

RandomReceiver::~RandomReceiver() {
    if (epoll_ < 0) return;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr);
    close(epoll_);
}

void RandomReceiver::wait_readable() {
    if (plan_.waiting != Waiting::edge) return await(fd_, POLLIN, "receive");
    for (;;) {
        epoll_event event;
        const int ready = epoll_wait(epoll_, &event, 1, patience_ms);
        if (ready > 0) {
            ending_ = ending_ || (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
            drained_ = false;
            return;
        }
        if (ready == 0) fail("stalled: no edge of readability in %d ms", patience_ms);
        if (errno != EINTR) fail("epoll_wait");
    }
}

ssize_t RandomReceiver::receive_vector(char* data, size_t size, int flags) {
    iovec parts[8];
    int count = 0;
    size_t at = 0;
    const bool one = random_.chance(30);
    while (!one && count < 7 && at < size) {
        const size_t part = random_.skewed(size - at);
        parts[count++] = {data + at, part};
        at += part;
    }
    parts[count++] = {data + at, size - at};
    if (flags == 0 && random_.chance(50)) return readv(fd_, parts, count);
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<size_t>(count);
    return recvmsg(fd_, &message, flags);
}

ssize_t RandomReceiver::receive_many(char* data, size_t size) {
    const size_t first = random_.below(size + 1);
    iovec parts[2] = {{data, first}, {data + first, size - first}};
    mmsghdr messages[2] = {};
    messages[0].msg_hdr.msg_iov = &parts[0];
    messages[1].msg_hdr.msg_iov = &parts[1];
    messages[0].msg_hdr.msg_iovlen = messages[1].msg_hdr.msg_iovlen = 1;
    if (first == 0) return recv(fd_, data, size, 0);  // an empty message says nothing
    const int got = recvmmsg(fd_, messages, 2, MSG_WAITFORONE, nullptr);
    if (got <= 0) return got;
    const size_t second = got > 1 ? messages[1].msg_len : 0;
    if (second > 0 && messages[0].msg_len < first)  // close the gap that a real reader would skip
        memmove(data + messages[0].msg_len, data + first, second);
    return static_cast<ssize_t>(messages[0].msg_len + second);
}

ssize_t RandomReceiver::receive_piece(char* data, size_t size, int flags) {
    if (flags == 0 && plan_.many && random_.chance(20)) return receive_many(data, size);
    if (plan_.vectors && random_.chance(30)) return receive_vector(data, size, flags);
    sockaddr_storage from;
    socklen_t from_size = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    switch (random_.below(flags == 0 ? 6 : 4)) {
        case 0: return recv(fd_, data, size, flags);
        case 1: return __recv_chk(fd_, data, size, size, flags);
        case 2: return recvfrom(fd_, data, size, flags, address, &from_size);
        case 3: return __recvfrom_chk(fd_, data, size, size + 5, flags, nullptr, nullptr);
        case 4: return __read_chk(fd_, data, size, size);
        default: return read(fd_, data, size);
    }
}

// true: `seen` bytes will have to come again. Fewer than asked for is no sign of anything.
bool RandomReceiver::peek(std::string& seen) {
    if (!plan_.peeks || !random_.chance(50)) return false;
    seen.resize(1 + random_.skewed(2000));
    const ssize_t n = receive_piece(seen.data(), seen.size(), MSG_PEEK | MSG_DONTWAIT);
    seen.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return n > 0;
}

ssize_t RandomReceiver::one_call(std::string& into) {
    std::string seen;
    const bool peeked = peek(seen);
    size_t size = random_.chance(60) ? plan_.max_piece : 1 + random_.skewed(plan_.max_piece - 1);
    bool exact = false;
    if (plan_.exact && random_.chance(70)) {
        int available = 0;
        if (ioctl(fd_, FIONREAD, &available) != 0) fail("FIONREAD");
        exact = available > 0;
        if (exact) size = static_cast<size_t>(available);
    }
    int flags = 0;
    if (!exact && plan_.waiting == Waiting::blocking && expected_ > 0 && random_.chance(30)) {
        flags = MSG_WAITALL;
        size = 1 + random_.below(std::min(expected_, plan_.max_piece));
    }
    std::string buffer(size + guard_size, guard_byte);
    const ssize_t n = receive_piece(buffer.data(), size, flags);
    const int saved = errno;
    if (n > static_cast<ssize_t>(size)) fail("%zd bytes in a buffer of %zu", n, size);
    for (size_t i = size; i < buffer.size(); ++i)
        if (buffer[i] != guard_byte)
            fail("byte %zu written beyond a buffer of %zu", i - size, size);
    if (n > 0) {
        const size_t same = std::min(seen.size(), static_cast<size_t>(n));
        if (peeked && buffer.compare(0, same, seen, 0, same) != 0)
            fail("what was read is not what was peeked at");
        if (flags == MSG_WAITALL && static_cast<size_t>(n) < size)
            fail("MSG_WAITALL: %zd of %zu bytes", n, size);
        into.append(buffer, 0, static_cast<size_t>(n));
        expected_ -= std::min(expected_, static_cast<size_t>(n));
        if (plan_.waiting == Waiting::edge)
            drained_ = !ending_ && (exact || static_cast<size_t>(n) < size);
        return n;
    }
    if (n == 0) return 0;
    errno = saved;
    if (tolerate_loss_ && (errno == ECONNRESET || errno == EPIPE)) return 0;
    if (errno != EAGAIN && errno != EINTR) fail("receiving %zu bytes", size);
    if (errno == EAGAIN) drained_ = true;
    return -1;
}

bool RandomReceiver::receive(std::string& into) {
    for (;;) {
        if (plan_.waiting == Waiting::poll || (plan_.waiting == Waiting::edge && drained_))
            wait_readable();
        const ssize_t n = one_call(into);
        if (n >= 0) return n > 0;
    }
}

}  // namespace torture
