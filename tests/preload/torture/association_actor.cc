// SPDX-License-Identifier: Apache-2.0
// A server whose requests each cause one request to a downstream, in the shapes in which servers
// are written; to be run under the shim:
//
//   association_actor SHAPE LISTENER DOWNSTREAM_PORT BACKGROUND_PATH
//
//   thread     a thread for each connection
//   accepting  a fixed number of threads that each accept and serve
//   handing    a thread reads the request, another one of a pool asks the downstream and answers
//   turns      a dispatcher gives readable connections to a pool, which reads, asks and answers;
//              the pool's threads do background work, too
//   poll, select, epoll   one thread for all, with blocking descriptors
//   busy       one thread for all, that never waits on any
//
// GET /a/<n> asks the downstream for /d/<n>. Meanwhile a background thread, and in the loops the
// loop itself, asks for BACKGROUND_PATH/<n>. Ends when a client asks for /quit.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

uint16_t downstream_port;
std::string background_path;
std::atomic<unsigned> background_number{0};

// Reads to the end of a head without a body; false: the peer is done.
bool read_head(int fd, std::string& head) {
    head.clear();
    while (head.find("\r\n\r\n") == std::string::npos) {
        char buffer[2048];
        const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n <= 0) return false;
        head.append(buffer, static_cast<size_t>(n));
    }
    return true;
}

std::string number_of(const std::string& head) {
    const size_t at = head.find("/a/");
    if (at == std::string::npos) {
        if (head.rfind("GET /quit", 0) == 0) _exit(0);
        fail("what is asked here? %s", head.c_str());
    }
    return head.substr(at + 3, head.find(' ', at) - at - 3);
}

std::string request_of(const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: downstream\r\n\r\n";
}

void ask(int fd, const std::string& path) {
    send_whole(fd, request_of(path));
    std::string answer;
    if (!read_head(fd, answer)) fail("no answer to %s", path.c_str());
}

void answer(int fd) { send_whole(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); }

int thread_downstream() {
    thread_local int fd = -1;
    if (fd < 0) fd = connect_to_loopback(downstream_port);
    return fd;
}

void ask_in_background() {
    ask(thread_downstream(), background_path + "/" + std::to_string(background_number++));
}

void serve(int fd) {
    for (std::string head; read_head(fd, head);) {
        ask(thread_downstream(), "/d/" + number_of(head));
        answer(fd);
    }
    close(fd);
}

class Pool {
public:
    explicit Pool(unsigned threads) {
        for (unsigned i = 0; i < threads; ++i)
            std::thread([this] {
                for (;;) take()();
            }).detach();
    }
    void give(std::function<void()> job) {
        {
            const std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        ready_.notify_one();
    }

private:
    std::function<void()> take() {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return !jobs_.empty(); });
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::function<void()>> jobs_;
};

[[noreturn]] void thread_per_connection(int listener) {
    for (;;) std::thread(serve, accept_one(listener)).detach();
}

[[noreturn]] void accepting_threads(int listener) {
    for (int i = 0; i < 60; ++i)
        std::thread([=] {
            for (;;) serve(accept_one(listener));
        }).detach();
    for (;;) pause();
}

[[noreturn]] void handing_over(int listener) {
    static Pool pool(8);
    for (;;) {
        const int fd = accept_one(listener);
        std::thread([fd] {
            for (std::string head; read_head(fd, head);) {
                std::atomic<bool> done{false};
                pool.give([fd, number = number_of(head), &done] {
                    ask(thread_downstream(), "/d/" + number);
                    answer(fd);
                    done = true;
                    done.notify_one();
                });
                done.wait(false);
            }
            close(fd);
        }).detach();
    }
}

// The dispatcher waits, on all connections at once; a connection is given back after each request.
[[noreturn]] void taking_turns(int listener) {
    static Pool pool(4);
    int wake[2];
    if (pipe(wake) != 0) fail("pipe");
    std::vector<int> idle;
    for (;;) {
        std::vector<pollfd> waited = {{listener, POLLIN, 0}, {wake[0], POLLIN, 0}};
        for (const int fd : idle) waited.push_back({fd, POLLIN, 0});
        if (poll(waited.data(), waited.size(), -1) < 0) fail("poll");
        idle.clear();
        for (size_t i = 2; i < waited.size(); ++i) {
            const int fd = waited[i].fd;
            if (waited[i].revents == 0) {
                idle.push_back(fd);
                continue;
            }
            pool.give([fd, back = wake[1]] {
                std::string head;
                if (!read_head(fd, head)) return void(close(fd));
                ask(thread_downstream(), "/d/" + number_of(head));
                answer(fd);
                if (write(back, &fd, sizeof(fd)) != sizeof(fd)) fail("write");
            });
            pool.give(ask_in_background);
        }
        if (waited[0].revents) idle.push_back(accept_one(listener));
        if (waited[1].revents) {
            int fd;
            if (read(wake[0], &fd, sizeof(fd)) != sizeof(fd)) fail("read");
            idle.push_back(fd);
        }
    }
}

// One thread for everything. A connection is a client's, or one of ours to the downstream.
class Loop {
public:
    Loop(int listener, const std::string& shape) : listener_(listener), shape_(shape) {
        if (shape == "epoll") epoll_ = epoll_create1(0);
        watch(listener);
    }

    [[noreturn]] void run() {
        for (unsigned round = 0;; ++round) {
            for (const int fd : wait()) {
                if (fd == listener_)
                    watch(accept_one(listener_));
                else
                    handle(fd);
            }
            if (round % 3 == 0)
                begin_call(background_path + "/" + std::to_string(background_number++), -1);
        }
    }

private:
    void watch(int fd) {
        open_.push_back(fd);
        if (epoll_ < 0) return;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    }
    void forget(int fd) {
        std::erase(open_, fd);
        close(fd);
    }

    std::vector<int> wait() {
        std::vector<int> ready;
        if (shape_ == "epoll") {
            epoll_event events[64];
            const int count = epoll_wait(epoll_, events, 64, 5);
            for (int i = 0; i < count; ++i) ready.push_back(events[i].data.fd);
        } else if (shape_ == "poll") {
            std::vector<pollfd> waited;
            for (const int fd : open_) waited.push_back({fd, POLLIN, 0});
            poll(waited.data(), waited.size(), 5);
            for (const pollfd& one : waited)
                if (one.revents != 0) ready.push_back(one.fd);
        } else if (shape_ == "select") {
            fd_set set;
            FD_ZERO(&set);
            int last = 0;
            for (const int fd : open_) {
                FD_SET(fd, &set);
                last = std::max(last, fd);
            }
            timeval limit{0, 5000};
            select(last + 1, &set, nullptr, nullptr, &limit);
            for (const int fd : open_)
                if (FD_ISSET(fd, &set)) ready.push_back(fd);
        } else {  // asks each of them, all the time
            usleep(300);
            for (const int fd : open_) {
                pollfd one{fd, POLLIN, 0};
                char byte;
                if (fd == listener_ ? poll(&one, 1, 0) > 0
                                    : recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
                    ready.push_back(fd);
            }
        }
        return ready;
    }

    void begin_call(const std::string& path, int client) {
        int fd;
        if (idle_.empty()) {
            fd = connect_to_loopback(downstream_port);
            watch(fd);
        } else {
            fd = idle_.back();
            idle_.pop_back();
        }
        calls_[fd] = client;
        send_whole(fd, request_of(path));
    }

    void handle(int fd) {
        char buffer[2048];
        const ssize_t n = recv(fd, buffer, sizeof(buffer), shape_ == "busy" ? MSG_DONTWAIT : 0);
        if (n <= 0) return forget(fd);
        std::string& text = text_[fd];
        text.append(buffer, static_cast<size_t>(n));
        if (text.find("\r\n\r\n") == std::string::npos) return;
        const std::string head = std::move(text);
        text_.erase(fd);
        const auto call = calls_.find(fd);
        if (call == calls_.end()) return begin_call("/d/" + number_of(head), fd);
        if (call->second >= 0) answer(call->second);
        calls_.erase(call);
        idle_.push_back(fd);
    }

    int listener_;
    std::string shape_;
    int epoll_ = -1;
    std::vector<int> open_, idle_;
    std::map<int, int> calls_;  // to the downstream: for which client, -1: for nobody
    std::map<int, std::string> text_;
};

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    if (count != 5) fail("usage: association_actor SHAPE LISTENER DOWNSTREAM_PORT BACKGROUND_PATH");
    const std::string shape = arguments[1];
    const int listener = atoi(arguments[2]);
    downstream_port = static_cast<uint16_t>(atoi(arguments[3]));
    background_path = arguments[4];
    std::thread([] {
        for (;;) {
            ask_in_background();
            usleep(500);
        }
    }).detach();
    if (shape == "thread") thread_per_connection(listener);
    if (shape == "accepting") accepting_threads(listener);
    if (shape == "handing") handing_over(listener);
    if (shape == "turns") taking_turns(listener);
    Loop(listener, shape).run();
}
