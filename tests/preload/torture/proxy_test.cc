// SPDX-License-Identifier: Apache-2.0
// A program that forwards heads continues the right trace by itself: what it reads names its server
// span, and on the way out that becomes its client span (parent rules 1). Many connections at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <thread>

#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

struct Plan {
    Stream stream;
    Pace client, server;
};

Plan plan_of(uint64_t seed, unsigned number) {
    Random random = Random::of(seed ^ 0x9807, number);
    Plan plan;
    plan.client.pipelined = random.chance(30);
    plan.client.piece = random.pick<size_t>({50, 1400, 100'000, 100'000, 100'000});
    plan.client.half_close = true;
    plan.server.slow = random.chance(30);
    StreamOptions options;
    options.prefix = "/p" + std::to_string(number);
    options.max_requests = 5;
    options.max_body = 50'000;
    options.max_head = 8000;
    options.pipelined = plan.client.pipelined;
    options.odd = false;
    plan.stream = make_stream(random, options);
    return plan;
}

// Which connection is this? The first path says.
int number_of(int fd) {
    for (;;) {
        char buffer[200] = {};
        await(fd, POLLIN, "see the first request");
        const ssize_t n = recv(fd, buffer, sizeof(buffer) - 1, MSG_PEEK);
        if (n <= 0) return -1;
        const char* path = strstr(buffer, "/p");
        if (path != nullptr && strstr(path, "/r") != nullptr) return atoi(path + 2);
        usleep(200);
    }
}

class Proxy : public testing::TestWithParam<const char*> {
protected:
    void take(int listener, std::vector<Seen>& seen, uint64_t seed) {
        std::vector<std::thread> threads;
        for (size_t i = 0; i < seen.size(); ++i) {
            const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) break;
            threads.emplace_back([fd, &seen, seed] {
                const int number = number_of(fd);
                if (number >= 0) {
                    const Plan plan = plan_of(seed, static_cast<unsigned>(number));
                    seen[static_cast<size_t>(number)] =
                        serve_and_check(fd, plan.stream, plan.server,
                                        Random::of(seed, static_cast<unsigned>(number)));
                }
                close(fd);
            });
        }
        for (std::thread& thread : threads) thread.join();
    }

    void check(const Request& request, const std::string& seen, const Outcome& outcome) {
        SCOPED_TRACE(request.method + " " + request.path);
        ++requests_;
        const auto values = values_of(seen, "traceparent");
        const bool valid = request.own == OwnTrace::valid || request.own == OwnTrace::valid_future;
        const auto bare = [](const std::string& head) {
            return without_lines(head, {"traceparent:", "tracestate:"});
        };
        ASSERT_EQ(bare(seen), bare(request.head));
        const Span *server = nullptr, *client = nullptr;
        for (const Span* span : by_path_[request.path]) (span->server() ? server : client) = span;
        if (valid && !sampled(request)) {
            ASSERT_EQ(values.size(), 1u);
            EXPECT_EQ(by_path_[request.path].size(), 0u);
            EXPECT_EQ(values[0].substr(3, 32), request.own_trace_id);
            return;
        }
        std::string found;
        for (const Span* span : by_path_[request.path])
            found += span->server() ? " server" : " client";
        ASSERT_EQ(found.size(), 14u) << found << "; " << outcome.summary() << "\n" << seen;
        ASSERT_NE(server, nullptr);
        ASSERT_NE(client, nullptr);
        EXPECT_EQ(server->parent_id, valid ? request.own_span_id : "");
        if (client->parent_id == server->span_id) {
            ++joined_;
            EXPECT_EQ(client->trace_id, server->trace_id);
        } else if (valid) {
            EXPECT_EQ(client->parent_id, request.own_span_id) << "joined to somebody else";
        } else {
            EXPECT_EQ(client->parent_id, "") << "joined to somebody else";
        }
        told_ += values.size() == 1 && values[0].find(client->span_id) == 36;
    }

    std::map<std::string, std::vector<const Span*>> by_path_;
    unsigned requests_ = 0, joined_ = 0, told_ = 0;
};

TEST_P(Proxy, ForwardedHeadsContinueTheirTrace) {
    const unsigned connections = scaled(120);
    std::vector<Seen> seen(connections);
    uint16_t port = 0, upstream_port = 0;
    const int listener = listen_on_loopback(port, 0, 512);
    const int upstream = listen_on_loopback(upstream_port, 0, 512);
    fcntl(listener, F_SETFD, 0);
    TracedRun proxy({beside("proxy_actor"), GetParam(), std::to_string(seed()),
                     std::to_string(connections), std::to_string(listener),
                     std::to_string(upstream_port)});
    close(listener);
    std::thread taking([&] { take(upstream, seen, seed()); });
    std::vector<std::thread> clients;
    std::vector<std::string> problems(connections);
    for (unsigned i = 0; i < connections; ++i)
        clients.emplace_back([&, i] {
            const Plan plan = plan_of(seed(), i);
            const int fd = connect_to_loopback(port);
            problems[i] = ask_and_check(fd, plan.stream, plan.client, Random::of(seed() ^ 1, i));
            close(fd);
        });
    for (std::thread& client : clients) client.join();
    const Outcome outcome = proxy.wait();
    shutdown(upstream, SHUT_RDWR);
    taking.join();
    close(upstream);
    ASSERT_TRUE(outcome.succeeded()) << outcome.error_text;
    for (const Span& span : outcome.spans) by_path_[span.path()].push_back(&span);
    for (unsigned i = 0; i < connections; ++i) {
        SCOPED_TRACE("connection " + std::to_string(i));
        const Plan plan = plan_of(seed(), i);
        ASSERT_EQ(problems[i], "");
        ASSERT_EQ(seen[i].problem, "");
        ASSERT_EQ(seen[i].heads.size(), plan.stream.requests.size());
        for (size_t k = 0; k < seen[i].heads.size(); ++k)
            check(plan.stream.requests[k], seen[i].heads[k], outcome);
        if (HasFatalFailure()) return;
    }
    printf("%s: %u connections, %u requests, %u joined, %u told; %s\n", GetParam(), connections,
           requests_, joined_, told_, outcome.summary().c_str());
    EXPECT_GT(joined_, requests_ / 3);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Proxy, testing::Values("loop", "threads"),
                         [](const auto& shape) { return std::string(shape.param); });

}  // namespace
}  // namespace torture
