// SPDX-License-Identifier: Apache-2.0
// An HTTP server for the ingress torture, to be run under the shim:
//
//   ingress_actor SEED CONNECTIONS DIRECTORY LISTENER...
//
// One thread for each listener, which is an inherited descriptor. What a connection brought is
// written to DIRECTORY/in-<number>, byte by byte as the calls delivered it.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/preload/torture/ingress_plan.h"
#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

struct Server {
    unsigned number;
    IngressPlan plan;
    int fd;
    RandomReceiver receiver;
    RandomSender sender;
    std::string in{};
    size_t at = 0;

    void need(bool more) const {
        if (!more) fail("connection %u ended after %zu bytes, in a request", number, in.size());
    }

    void answer(const Request& request) {
        sender.send(request.response.bytes, content_of(request.response));
    }

    void serve(const Request& request) {
        size_t head = 0;
        while ((head = head_size_at(in, at)) == 0) need(receiver.receive(in));
        if (plan.early_answers) answer(request);
        at += head + request.body.size();
        while (in.size() < at) {
            receiver.expect(at - in.size());
            need(receiver.receive(in));
        }
        receiver.expect(0);
        if (!plan.early_answers) answer(request);
    }

    void run() {
        for (const Request& request : plan.stream.requests) serve(request);
        const auto& requests = plan.stream.requests;
        if (!requests.empty() && requests.back().response.until_close) shutdown(fd, SHUT_WR);
        while (receiver.receive(in)) {
        }
    }
};

void serve_connection(uint64_t seed, unsigned number, int listener, const std::string& directory) {
    const IngressPlan plan = ingress_plan(seed, number);
    Random random = Random::of(seed ^ 0xacce55, number);
    sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    auto* address = reinterpret_cast<sockaddr*>(&peer);
    const int fd = random.chance(50) ? accept4(listener, address, &size, SOCK_NONBLOCK)
                                     : accept(listener, nullptr, nullptr);
    if (fd < 0) fail("accept");
    {
        Server server{number,
                      plan,
                      fd,
                      {fd, Random(random.next()), plan.receiving},
                      {fd, Random(random.next()), plan.sending}};
        server.receiver.tolerate_loss();
        server.run();
        std::ofstream(directory + "/in-" + std::to_string(number), std::ios::binary) << server.in;
    }
    close(fd);
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    if (count < 5) fail("usage: ingress_actor SEED CONNECTIONS DIRECTORY LISTENER...");
    const uint64_t seed = strtoull(arguments[1], nullptr, 0);
    const unsigned connections = static_cast<unsigned>(atoi(arguments[2]));
    const std::string directory = arguments[3];
    const unsigned threads = static_cast<unsigned>(count - 4);
    std::vector<std::thread> servers;
    for (unsigned t = 0; t < threads; ++t)
        servers.emplace_back([=] {
            const int listener = atoi(arguments[4 + t]);
            for (unsigned i = t; i < connections; i += threads)
                serve_connection(seed, i, listener, directory);
        });
    for (std::thread& server : servers) server.join();
    return 0;
}
