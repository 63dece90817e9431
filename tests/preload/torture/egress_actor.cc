// SPDX-License-Identifier: Apache-2.0
// An HTTP client for the egress torture, to be run under the shim:
//
//   egress_actor SEED CONNECTIONS PORT...
//
// One thread for each port; connections are dealt out in turn and made one after the other.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "tests/preload/torture/egress_plan.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

struct Client {
    unsigned number;
    EgressPlan plan;
    int fd;
    RandomSender sender;
    RandomReceiver receiver;
    std::string received{};
    std::string expected{};

    void receive_expected() {
        while (received.size() < expected.size()) {
            if (receiver.receive(received)) continue;
            fail("connection %u: the peer ended after %zu of %zu bytes", number, received.size(),
                 expected.size());
        }
        if (received != expected) fail("connection %u: the response is not what was sent", number);
    }

    // Requests [first, last) in as few calls as the sender likes.
    void send_requests(size_t first, size_t last) {
        std::string bytes;
        std::vector<RandomSender::Range> bodies;
        for (size_t i = first; i < last; ++i) {
            const Request& request = plan.stream.requests[i];
            bytes += request.head;
            for (const auto& [begin, end] : request.content_at)
                bodies.push_back({bytes.size() + begin, bytes.size() + end});
            bytes += request.body;
        }
        sender.send(bytes, bodies);
    }

    void run() {
        const auto& requests = plan.stream.requests;
        for (size_t i = 0; i < requests.size();) {
            const size_t together = plan.pipelined ? 1 + plan.rest.below(requests.size() - i) : 1;
            send_requests(i, i + together);
            for (size_t k = i; k < i + together; ++k) expected += requests[k].response.bytes;
            i += together;
            if (!plan.pipelined || plan.rest.chance(30)) receive_expected();
        }
        receive_expected();
        sender.send(plan.stream.tail);
        const bool until_close = !requests.empty() && requests.back().response.until_close;
        if (plan.half_close || !plan.stream.is_http) shutdown(fd, SHUT_WR);
        if (until_close || plan.half_close || !plan.stream.is_http) {
            while (receiver.receive(received)) {
            }
            receive_expected();
        }
    }
};

void run_connection(uint64_t seed, unsigned number, uint16_t port) {
    const EgressPlan plan = egress_plan(seed, number);
    const int fd = connect_to_loopback(port, plan.send_buffer);
    {
        Random random = Random::of(seed ^ 0xacce55, number);
        Client client{number,
                      plan,
                      fd,
                      {fd, Random(random.next()), plan.sending},
                      {fd, Random(random.next()), plan.receiving}};
        client.run();
    }
    close(fd);
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    if (count < 4) fail("usage: egress_actor SEED CONNECTIONS PORT...");
    const uint64_t seed = strtoull(arguments[1], nullptr, 0);
    const unsigned connections = static_cast<unsigned>(atoi(arguments[2]));
    const unsigned threads = static_cast<unsigned>(count - 3);
    std::vector<std::thread> clients;
    for (unsigned t = 0; t < threads; ++t)
        clients.emplace_back([=] {
            const auto port = static_cast<uint16_t>(atoi(arguments[3 + t]));
            for (unsigned i = t; i < connections; i += threads) run_connection(seed, i, port);
        });
    for (std::thread& client : clients) client.join();
    return 0;
}
