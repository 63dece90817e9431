// SPDX-License-Identifier: Apache-2.0
// No parent rather than a wrong one: servers of every shape, at 1, 2, 3 and 50 requests at a time,
// with background calls in between. Each incoming request has a trace of its own; the downstream
// notes what it is told. Threads that serve one connection must be right, everybody else may be
// silent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "tests/preload/torture/support/http_stream.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

// Answers every request after a moment and keeps the traceparent that came with it.
class Downstream {
public:
    Downstream() : listener_(listen_on_loopback(port, 0, 512)) {
        acceptor_ = std::thread([this] {
            for (;;) {
                const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
                if (fd < 0) return;
                const std::lock_guard lock(mutex_);
                open_.push_back(fd);
                serving_.emplace_back([this, fd] { serve(fd); });
            }
        });
    }
    ~Downstream() {
        shutdown(listener_, SHUT_RDWR);
        acceptor_.join();
        for (const int fd : open_) shutdown(fd, SHUT_RDWR);
        for (std::thread& thread : serving_) thread.join();
        for (const int fd : open_) close(fd);
        close(listener_);
    }

    // Trace ids by path, once nobody asks any more.
    std::multimap<std::string, std::string> told() {
        const std::lock_guard lock(mutex_);
        return told_;
    }
    uint16_t port = 0;

private:
    void serve(int fd) {
        Random random(static_cast<uint64_t>(fd) + seed());
        std::string text;
        char buffer[4096];
        for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
            text.append(buffer, static_cast<size_t>(n));
            if (text.find("\r\n\r\n") == std::string::npos) continue;
            note(text);
            text.clear();
            usleep(static_cast<useconds_t>(random.below(2000)));
            send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, MSG_NOSIGNAL);
        }
    }
    void note(const std::string& head) {
        const size_t at = head.find(' ') + 1;
        const auto values = values_of(head, "traceparent");
        const std::lock_guard lock(mutex_);
        told_.emplace(head.substr(at, head.find(' ', at) - at),
                      values.empty() ? "" : values[0].substr(3, 32));
    }

    int listener_;
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<int> open_;
    std::vector<std::thread> serving_;
    std::multimap<std::string, std::string> told_;
};

struct Shape {
    const char* name;
    bool always_right;
};
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name; }

class Association : public testing::TestWithParam<Shape> {
protected:
    // `at_once` clients, one after the other on one connection each. Trace ids by request number.
    std::map<std::string, std::string> ask(uint16_t port, unsigned at_once, unsigned each) {
        std::map<std::string, std::string> traces;
        std::mutex mutex;
        std::vector<std::thread> clients;
        for (unsigned c = 0; c < at_once; ++c)
            clients.emplace_back([&, c] {
                Random random = Random::of(seed(), at_once * 1000 + c);
                const int fd = connect_to_loopback(port);
                for (unsigned i = 0; i < each; ++i) {
                    const std::string number =
                        std::to_string(at_once) + "-" + std::to_string(c) + "-" + std::to_string(i);
                    const std::string trace = random.hex(31) + "1";
                    {
                        const std::lock_guard lock(mutex);
                        traces[number] = trace;
                    }
                    send_whole(fd, "GET /a/" + number + " HTTP/1.1\r\nHost: s\r\ntraceparent: 00-" +
                                       trace + "-00f067aa0ba902b7-01\r\n\r\n");
                    receive_exactly(fd, 38);
                    if (random.chance(30)) usleep(static_cast<useconds_t>(random.below(3000)));
                }
                close(fd);
            });
        for (std::thread& client : clients) client.join();
        return traces;
    }
};

TEST_P(Association, NoRequestIsJoinedToAnothers) {
    Downstream downstream;
    uint16_t port = 0;
    const int listener = listen_on_loopback(port, 0, 512);
    fcntl(listener, F_SETFD, 0);
    TracedRun server({beside("association_actor"), GetParam().name, std::to_string(listener),
                      std::to_string(downstream.port), "/background"});
    close(listener);
    std::map<std::string, std::string> traces;
    for (const unsigned at_once : {1u, 2u, 3u, 50u})
        traces.merge(ask(port, at_once, scaled(at_once == 50 ? 6 : 40)));
    const int quit = connect_to_loopback(port);
    send_whole(quit, "GET /quit HTTP/1.1\r\nHost: s\r\n\r\n");
    const Outcome outcome = server.wait();
    close(quit);
    ASSERT_TRUE(outcome.succeeded()) << outcome.error_text;

    std::set<std::string> incoming;
    for (const auto& [number, trace] : traces) incoming.insert(trace);
    unsigned right = 0, none = 0, wrong = 0, background = 0;
    for (const auto& [path, trace] : downstream.told()) {
        const bool joined = incoming.count(trace) != 0;
        if (path.rfind("/d/", 0) != 0) {
            ++background;
            wrong += joined;
            EXPECT_FALSE(joined) << path << " was joined to a request";
        } else if (!joined) {
            ++none;
        } else {
            const bool same = traces.at(path.substr(3)) == trace;
            ++(same ? right : wrong);
            EXPECT_TRUE(same) << path << " was joined to another request";
        }
        if (wrong > 5) break;
    }
    printf("%s: %u right, %u without a parent, %u wrong, %u background calls; %s\n",
           GetParam().name, right, none, wrong, background, outcome.summary().c_str());
    EXPECT_EQ(right + none, traces.size());
    EXPECT_EQ(wrong, 0u);
    EXPECT_GT(background, 0u);
    if (GetParam().always_right) {
        EXPECT_EQ(none, 0u);
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Association,
                         testing::Values(Shape{"thread", true}, Shape{"accepting", true},
                                         Shape{"handing", false}, Shape{"turns", false},
                                         Shape{"poll", false}, Shape{"select", false},
                                         Shape{"epoll", false}, Shape{"busy", false}),
                         [](const auto& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace torture
