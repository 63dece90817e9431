// SPDX-License-Identifier: Apache-2.0
// What a client's peers get: the client's bytes and whole trace lines, nothing else; no stall, no
// false short count, no id on the wire without its span.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/preload/torture/egress_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

constexpr unsigned threads = 3;

class Egress : public testing::Test {
protected:
    void run(uint64_t seed, unsigned connections) {
        std::vector<Seen> seen(connections);
        std::vector<std::string> command = {beside("egress_actor"), std::to_string(seed),
                                            std::to_string(connections)};
        std::vector<std::thread> peers;
        std::vector<int> listeners;
        for (unsigned t = 0; t < threads; ++t) {
            uint16_t port = 0;
            // Every other listener's connections have the smallest receive buffer there is.
            listeners.push_back(listen_on_loopback(port, t % 2 == 0 ? 2304 : 0));
            command.push_back(std::to_string(port));
        }
        TracedRun client(command);
        for (unsigned t = 0; t < threads; ++t)
            peers.emplace_back([&, t] { serve(listeners[t], t, seed, seen); });
        const Outcome outcome = client.wait();
        for (int listener : listeners) shutdown(listener, SHUT_RDWR);  // ends an accept()
        for (std::thread& peer : peers) peer.join();
        for (int listener : listeners) close(listener);
        ASSERT_TRUE(outcome.succeeded()) << outcome.error_text;
        egress::check(seed, seen, outcome);
    }

    static void serve(int listener, unsigned first, uint64_t seed, std::vector<Seen>& seen) {
        for (unsigned i = first; i < seen.size(); i += threads) {
            const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            const EgressPlan plan = egress_plan(seed, i);
            Random random = Random::of(seed ^ 0x9ee4, i);
            Pace pace;
            pace.slow = plan.slow_peer;
            pace.early = random.chance(10);
            seen[i] = serve_and_check(fd, plan.stream, pace, random);
            close(fd);
        }
    }
};

TEST_F(Egress, PeersGetTheProgramsBytesAndWholeLines) { run(seed(), scaled(400)); }

}  // namespace
}  // namespace torture
