// SPDX-License-Identifier: Apache-2.0
// An HTTP client or server for the TLS torture, to be run under the shim; linked with the end of
// one TLS library:
//
//   ..._actor client CERTIFICATES SEED CONNECTIONS PORT...
//   ..._actor server CERTIFICATES SEED CONNECTIONS DIRECTORY LISTENER...
//
// One thread for each port or listener (an inherited descriptor). A server writes what a connection
// brought to DIRECTORY/in-<number>, byte by byte as the calls delivered it.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "tests/preload/torture/egress_plan.h"
#include "tests/preload/torture/ingress_plan.h"
#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/tls/secure_end.h"

namespace torture {
namespace {

// What was sent is delivered: with bytes unread (a ticket, a key update) a close would be a reset.
void close_gently(int fd) {
    set_nonblocking(fd, false);
    shutdown(fd, SHUT_WR);
    for (char buffer[4096]; recv(fd, buffer, sizeof(buffer), 0) > 0;) {
    }
    close(fd);
}

struct Client {
    unsigned number;
    EgressPlan plan;
    SecureEnd& end;
    std::string received{};
    std::string expected{};

    void receive_expected() {
        while (received.size() < expected.size()) {
            if (end.receive(received)) continue;
            fail("connection %u: the peer ended after %zu of %zu bytes", number, received.size(),
                 expected.size());
        }
        if (received != expected) fail("connection %u: the response is not what was sent", number);
    }

    void run() {
        end.read_meanwhile_into(&received);
        const auto& requests = plan.stream.requests;
        for (size_t i = 0; i < requests.size();) {
            const size_t together = plan.pipelined ? 1 + plan.rest.below(requests.size() - i) : 1;
            std::string bytes;
            for (size_t k = i; k < i + together; ++k) {
                bytes += requests[k].head + requests[k].body;
                expected += requests[k].response.bytes;
            }
            end.send(bytes);
            i += together;
            if (!plan.pipelined || plan.rest.chance(30)) {
                receive_expected();
                if (i < requests.size()) end.quiet();
            }
        }
        receive_expected();
        end.send(plan.stream.tail);
        const bool until_close = !requests.empty() && requests.back().response.until_close;
        if (plan.half_close || !plan.stream.is_http) end.close_write();
        if (until_close || plan.half_close || !plan.stream.is_http) {
            while (end.receive(received)) {
            }
            receive_expected();
        }
    }
};

void run_client(uint64_t seed, unsigned number, uint16_t port) {
    const EgressPlan plan = egress_plan(seed, number);
    const int fd = connect_to_loopback(port, plan.send_buffer);
    {
        const EndOptions options{number, TlsPlan::of(seed, number), plan.sending.waiting,
                                 plan.sending.max_piece};
        const auto end = make_end(fd, options, Random::of(seed ^ 0xacce55, number));
        end->handshake(false);
        Client client{number, plan, *end};
        client.run();
    }
    close_gently(fd);
}

struct Server {
    unsigned number;
    IngressPlan plan;
    SecureEnd& end;
    std::string in{};
    size_t at = 0;

    void need(bool more) const {
        if (!more) fail("connection %u ended after %zu bytes, in a request", number, in.size());
    }
    void serve(const Request& request) {
        size_t head = 0;
        while ((head = head_size_at(in, at)) == 0) need(end.receive(in));
        if (plan.early_answers) end.send(request.response.bytes);
        at += head + request.body.size();
        while (in.size() < at) need(end.receive(in));
        if (plan.early_answers) return;
        end.send(request.response.bytes);
    }
    void run() {
        end.read_meanwhile_into(&in);
        for (const Request& request : plan.stream.requests) serve(request);
        const auto& requests = plan.stream.requests;
        if (!requests.empty() && requests.back().response.until_close) end.close_write();
        while (end.receive(in)) {
        }
    }
};

void run_server(uint64_t seed, unsigned number, int listener, const std::string& directory) {
    const IngressPlan plan = ingress_plan(seed, number);
    const int fd = accept_one(listener);
    {
        const EndOptions options{number, TlsPlan::of(seed, number), plan.sending.waiting,
                                 plan.sending.max_piece};
        const auto end = make_end(fd, options, Random::of(seed ^ 0xacce55, number));
        end->handshake(true);
        Server server{number, plan, *end};
        server.run();
        std::ofstream(directory + "/in-" + std::to_string(number), std::ios::binary) << server.in;
    }
    close_gently(fd);
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    const bool server = count > 1 && strcmp(arguments[1], "server") == 0;
    const int first = server ? 6 : 5;
    if (count <= first) fail("usage: see the head of tls_actor.cc");
    signal(SIGPIPE, SIG_IGN);
    start_library(arguments[2]);
    const uint64_t seed = strtoull(arguments[3], nullptr, 0);
    const unsigned connections = static_cast<unsigned>(atoi(arguments[4]));
    const unsigned threads = static_cast<unsigned>(count - first);
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < threads; ++t)
        workers.emplace_back([=] {
            const int number = atoi(arguments[first + static_cast<int>(t)]);
            for (unsigned i = t; i < connections; i += threads) {
                if (server)
                    run_server(seed, i, number, arguments[5]);
                else
                    run_client(seed, i, static_cast<uint16_t>(number));
            }
        });
    for (std::thread& worker : workers) worker.join();
    return 0;
}
