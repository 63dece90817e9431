// SPDX-License-Identifier: Apache-2.0
// What a server reads: its clients' bytes but for permitted edits, through every call and into
// every buffer; no stall; a span for each request with the right status, sizes and parent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/preload/torture/ingress_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

constexpr unsigned threads = 3;

class Ingress : public testing::Test {
protected:
    void run(uint64_t seed, unsigned connections) {
        char directory[] = "/tmp/remora-ingress-XXXXXX";
        ASSERT_NE(mkdtemp(directory), nullptr);
        std::vector<std::string> problems(connections, "was never served");
        std::vector<std::string> command = {beside("ingress_actor"), std::to_string(seed),
                                            std::to_string(connections), directory};
        std::vector<int> listeners;
        std::vector<uint16_t> ports(threads);
        for (unsigned t = 0; t < threads; ++t) {
            listeners.push_back(listen_on_loopback(ports[t], t % 2 == 0 ? 2304 : 0));
            fcntl(listeners[t], F_SETFD, 0);
            command.push_back(std::to_string(listeners[t]));
        }
        TracedRun server(command);
        for (int listener : listeners) close(listener);
        std::vector<std::thread> clients;
        for (unsigned t = 0; t < threads; ++t)
            clients.emplace_back([&, t] {
                for (unsigned i = t; i < connections; i += threads) {
                    const int fd = try_to_connect(ports[t]);
                    problems[i] = "could not connect";
                    if (fd < 0) return;
                    const IngressPlan plan = ingress_plan(seed, i);
                    Pace pace;
                    pace.piece = plan.client_piece;
                    pace.pipelined = plan.pipelined;
                    pace.half_close = plan.half_close;
                    problems[i] =
                        ask_and_check(fd, plan.stream, pace, Random::of(seed ^ 0x9ee4, i));
                    close(fd);
                    if (!problems[i].empty()) return;
                }
            });
        for (std::thread& client : clients) client.join();
        const Outcome outcome = server.wait();
        EXPECT_TRUE(outcome.succeeded()) << outcome.error_text;
        for (unsigned i = 0; i < connections; ++i)
            ASSERT_EQ(problems[i], "") << "connection " << i << "\n" << outcome.error_text;
        ingress::check(seed, connections, directory, outcome);
        if (!HasFailure()) (void)!system(("rm -rf " + std::string(directory)).c_str());
    }
};

TEST_F(Ingress, ServersReadTheirClientsBytesButForPermittedEdits) { run(seed(), scaled(400)); }

}  // namespace
}  // namespace torture
