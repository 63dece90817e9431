// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/random_sender.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

constexpr unsigned refusals_tolerated = 2000;

// A piece cut into buffers, empty ones among them.
std::vector<iovec> cut(Random& random, const char* data, size_t size, size_t most) {
    std::vector<iovec> parts;
    size_t at = 0;
    const size_t wanted = 1 + random.below(most);
    while (at < size && parts.size() + 1 < wanted) {
        if (random.chance(10)) parts.push_back({nullptr, 0});
        const size_t part = 1 + random.skewed(size - at - 1);
        parts.push_back({const_cast<char*>(data) + at, part});
        at += part;
    }
    parts.push_back({const_cast<char*>(data) + at, size - at});
    return parts;
}

}  // namespace

SendPlan SendPlan::of(Random& random) {
    SendPlan plan;
    plan.waiting = random.pick({Waiting::blocking, Waiting::poll, Waiting::edge});
    plan.max_piece = random.pick<size_t>({1, 4, 60, 400, 4096, 100'000, 100'000, 100'000});
    plan.files = random.chance(50);
    plan.many = random.chance(30);
    return plan;
}

RandomSender::RandomSender(int fd, Random random, const SendPlan& plan)
    : fd_(fd), random_(random), plan_(plan) {
    set_nonblocking(fd, plan.waiting != Waiting::blocking);
    if (plan.waiting != Waiting::edge) return;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLOUT | EPOLLET;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

RandomSender::~RandomSender() {
    if (epoll_ < 0) return;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr);
    close(epoll_);
}

void RandomSender::wait_writable(bool after_short_count) {
    if (!after_short_count && ++refused_in_a_row_ > refusals_tolerated)
        fail("EAGAIN %u times in a row although the socket is writable", refused_in_a_row_);
    if (plan_.waiting != Waiting::edge) return await(fd_, POLLOUT, "send");
    for (;;) {
        epoll_event event;
        const int ready = epoll_wait(epoll_, &event, 1, patience_ms);
        if (ready > 0) return;
        if (ready == 0) fail("stalled: no edge of writability in %d ms", patience_ms);
        if (errno != EINTR) fail("epoll_wait");
    }
}

ssize_t RandomSender::send_vector(const char* data, size_t size, int flags) {
    std::vector<iovec> parts = cut(random_, data, size, 64);
    if (random_.chance(50)) return writev(fd_, parts.data(), static_cast<int>(parts.size()));
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return sendmsg(fd_, &message, flags);
}

// Bytes that went out, as if by one call.
ssize_t RandomSender::send_many(const char* data, size_t size, int flags) {
    const size_t count = 1 + random_.below(4);
    std::vector<std::vector<iovec>> parts(count);
    std::vector<mmsghdr> messages(count);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t part = i + 1 == count ? size - at : random_.below(size - at + 1);
        parts[i] = cut(random_, data + at, part, 3);
        messages[i] = {};
        messages[i].msg_hdr.msg_iov = parts[i].data();
        messages[i].msg_hdr.msg_iovlen = parts[i].size();
        at += part;
    }
    const int sent = sendmmsg(fd_, messages.data(), static_cast<unsigned>(count), flags);
    if (sent < 0) return -1;
    size_t total = 0;
    for (int i = 0; i < sent; ++i) total += messages[static_cast<size_t>(i)].msg_len;
    if (total == 0 && sent > 0 && size > 0) {  // only empty messages went out: not an end
        errno = EINTR;
        return -1;
    }
    return static_cast<ssize_t>(total);
}

ssize_t RandomSender::send_file(const char* data, size_t size) {
    const int file = memfd_create("body", MFD_CLOEXEC);
    if (file < 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) fail("memfd");
    off_t offset = 0;
    const ssize_t sent = sendfile(fd_, file, random_.chance(50) ? &offset : nullptr, size);
    const int saved = errno;
    close(file);
    errno = saved;
    return sent;
}

// What went into the pipe has to come out of it before anything else is sent.
ssize_t RandomSender::send_through_pipe(const char* data, size_t size) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    const ssize_t filled = write(ends[1], data, std::min<size_t>(size, 32'768));
    if (filled <= 0) fail("write to a pipe");
    for (ssize_t moved = 0; moved < filled;) {
        const ssize_t n =
            splice(ends[0], nullptr, fd_, nullptr, static_cast<size_t>(filled - moved),
                   plan_.waiting == Waiting::blocking ? 0 : SPLICE_F_NONBLOCK);
        if (n > 0)
            moved += n;
        else if (n < 0 && errno == EAGAIN)
            await(fd_, POLLOUT, "splice");
        else if (n == 0 || errno != EINTR)
            fail("splice: %zd", n);
    }
    close(ends[0]);
    close(ends[1]);
    return filled;
}

ssize_t RandomSender::send_piece(const char* data, size_t size, bool& all_or_nothing) {
    int flags = MSG_NOSIGNAL;
    if (random_.chance(10)) flags |= MSG_MORE;
    if (random_.chance(10)) flags |= MSG_DONTWAIT;
    all_or_nothing = plan_.waiting == Waiting::blocking && (flags & MSG_DONTWAIT) == 0;
    switch (random_.below(plan_.many ? 6 : 5)) {
        case 0: all_or_nothing = plan_.waiting == Waiting::blocking; return write(fd_, data, size);
        case 1: return ::send(fd_, data, size, flags);
        case 2: return sendto(fd_, data, size, flags, nullptr, 0);
        case 3:
        case 4: return send_vector(data, size, flags);
        default: all_or_nothing = false; return send_many(data, size, flags);
    }
}

void RandomSender::send(const std::string& bytes, const std::vector<Range>& bodies) {
    size_t at = 0;
    while (at < bytes.size()) {
        const auto body = std::find_if(bodies.begin(), bodies.end(), [at](const Range& range) {
            return range.first <= at && at < range.second;
        });
        const size_t most = std::min(plan_.max_piece, bytes.size() - at);
        const size_t piece = random_.chance(50) ? most : 1 + random_.skewed(most - 1);
        bool all_or_nothing = false;
        size_t asked = piece;
        ssize_t sent;
        if (plan_.files && body != bodies.end() && random_.chance(30)) {
            asked = std::min(piece, body->second - at);
            const char* data = bytes.data() + at;
            sent = random_.chance(60) ? send_file(data, asked) : send_through_pipe(data, asked);
        } else {
            sent = send_piece(bytes.data() + at, piece, all_or_nothing);
        }
        if (sent == 0) fail("a call of %zu bytes returned 0", asked);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (tolerate_loss_ && (errno == EPIPE || errno == ECONNRESET)) return;
            if (errno != EAGAIN) fail("sending at %zu of %zu", at, bytes.size());
            wait_writable(false);
            continue;
        }
        refused_in_a_row_ = 0;
        if (static_cast<size_t>(sent) > asked) fail("%zd of %zu bytes sent", sent, asked);
        const bool is_short = static_cast<size_t>(sent) < asked;
        if (is_short && all_or_nothing)
            fail("short count on a blocking socket: %zd of %zu", sent, asked);
        at += static_cast<size_t>(sent);
        if (is_short && plan_.waiting == Waiting::edge && at < bytes.size() && random_.chance(80))
            wait_writable(true);
    }
}

}  // namespace torture
