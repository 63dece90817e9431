// SPDX-License-Identifier: Apache-2.0
// A proxy that forwards bytes as they come, heads and all, to be run under the shim:
//
//   proxy_actor SHAPE SEED CONNECTIONS LISTENER UPSTREAM_PORT
//
//   loop     one thread, epoll, level-triggered, non-blocking
//   threads  two threads for each pair of connections, one for each direction
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/preload/torture/support/random.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

uint16_t upstream_port;

struct Flow {
    std::string waiting;  // read and not yet written
    bool ended = false;   // no more will be read
    bool told = false;    // and the other side knows
};

struct Pair {
    int ends[2];    // client, upstream
    Flow flows[2];  // from ends[i] to ends[1 - i]
    size_t buffer;
};

class Loop {
public:
    Loop(uint64_t seed, unsigned connections, int listener)
        : random_(seed), to_come_(connections), listener_(listener), epoll_(epoll_create1(0)) {
        watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    }

    void run() {
        while (to_come_ > 0 || !by_fd_.empty()) {
            epoll_event events[64];
            const int count = epoll_wait(epoll_, events, 64, patience_ms);
            if (count == 0) fail("stalled with %zu connections", by_fd_.size());
            for (int i = 0; i < count; ++i) {
                if (events[i].data.fd == listener_)
                    take_one();
                else if (by_fd_.count(events[i].data.fd) != 0)
                    handle(events[i].data.fd);
            }
        }
    }

private:
    void watch(int fd, uint32_t events, int operation) const {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        if (epoll_ctl(epoll_, operation, fd, &event) != 0) fail("epoll_ctl");
    }

    void take_one() {
        auto pair = std::make_shared<Pair>();
        pair->ends[0] = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
        if (pair->ends[0] < 0) return;
        pair->ends[1] = connect_to_loopback(upstream_port, random_.pick({0, 0, 2304}));
        set_nonblocking(pair->ends[1], true);
        pair->buffer = random_.pick<size_t>({512, 4096, 16'384, 65'536});
        for (const int end : pair->ends) {
            by_fd_[end] = pair;
            watch(end, EPOLLIN, EPOLL_CTL_ADD);
        }
        if (--to_come_ == 0) watch(listener_, 0, EPOLL_CTL_MOD);
    }

    void handle(int fd) {
        const std::shared_ptr<Pair> pair = by_fd_[fd];
        for (int i = 0; i < 2; ++i) move(*pair, i);
        if (pair->flows[0].told && pair->flows[1].told) {
            for (const int end : pair->ends) {
                by_fd_.erase(end);
                close(end);
            }
            return;
        }
        for (int i = 0; i < 2; ++i) {
            uint32_t wanted = 0;
            if (!pair->flows[i].ended && pair->flows[i].waiting.size() < 100'000) wanted |= EPOLLIN;
            if (!pair->flows[1 - i].waiting.empty()) wanted |= EPOLLOUT;
            watch(pair->ends[i], wanted, EPOLL_CTL_MOD);
        }
    }

    void move(Pair& pair, int from) {
        Flow& flow = pair.flows[from];
        if (!flow.ended && flow.waiting.size() < 100'000) {
            std::string buffer(pair.buffer, '\0');
            const ssize_t n = random_.chance(50)
                                  ? recv(pair.ends[from], buffer.data(), buffer.size(), 0)
                                  : read(pair.ends[from], buffer.data(), buffer.size());
            if (n > 0) flow.waiting.append(buffer, 0, static_cast<size_t>(n));
            if (n == 0 || (n < 0 && errno != EAGAIN)) flow.ended = true;
        }
        while (!flow.waiting.empty()) {
            const ssize_t n =
                send(pair.ends[1 - from], flow.waiting.data(), flow.waiting.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) return;
            if (n < 0) flow.waiting.clear();
            if (n > 0) flow.waiting.erase(0, static_cast<size_t>(n));
        }
        if (flow.ended && !flow.told) {
            shutdown(pair.ends[1 - from], SHUT_WR);
            flow.told = true;
        }
    }

    Random random_;
    unsigned to_come_;
    int listener_;
    int epoll_;
    std::map<int, std::shared_ptr<Pair>> by_fd_;
};

void copy_until_end(int from, int to, size_t buffer_size) {
    std::string buffer(buffer_size, '\0');
    for (;;) {
        const ssize_t n = read(from, buffer.data(), buffer.size());
        if (n <= 0) break;
        if (send(to, buffer.data(), static_cast<size_t>(n), MSG_NOSIGNAL) != n) break;
    }
    shutdown(to, SHUT_WR);
}

void run_threads(uint64_t seed, unsigned connections, int listener) {
    Random random(seed);
    std::vector<std::thread> pairs;
    for (unsigned i = 0; i < connections; ++i) {
        const int client = accept_one(listener);
        const size_t size = random.pick<size_t>({512, 4096, 65'536});
        pairs.emplace_back([client, size] {
            const int upstream = connect_to_loopback(upstream_port);
            std::thread back(copy_until_end, upstream, client, size);
            copy_until_end(client, upstream, size);
            back.join();
            close(client);
            close(upstream);
        });
    }
    for (std::thread& pair : pairs) pair.join();
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    if (count != 6) fail("usage: proxy_actor SHAPE SEED CONNECTIONS LISTENER UPSTREAM_PORT");
    const uint64_t seed = strtoull(arguments[2], nullptr, 0);
    const unsigned connections = static_cast<unsigned>(atoi(arguments[3]));
    upstream_port = static_cast<uint16_t>(atoi(arguments[5]));
    if (std::string(arguments[1]) == "loop")
        Loop(seed, connections, atoi(arguments[4])).run();
    else
        run_threads(seed, connections, atoi(arguments[4]));
    return 0;
}
