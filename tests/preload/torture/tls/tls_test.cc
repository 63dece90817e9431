// SPDX-License-Identifier: Apache-2.0
// The plain torture said inside TLS: random sizes and modes of OpenSSL and of GnuTLS, as client and
// as server. The peer, which is not traced, gets the program's bytes and whole trace lines; the
// program reads its clients' bytes but for permitted edits; each id on the wire is an exported
// span.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "tests/preload/torture/egress_check.h"
#include "tests/preload/torture/ingress_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"
#include "tests/preload/torture/tls/tls_tunnel.h"

namespace torture {
namespace {

constexpr unsigned threads = 3;
constexpr unsigned connections_of_a_run = 120;

class Tls : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        signal(SIGPIPE, SIG_IGN);
        actor_ = beside(std::string(GetParam()) + "_actor");
        if (access(actor_.c_str(), X_OK) != 0)
            GTEST_SKIP() << "needs the headers of " << GetParam() << " to build its actor";
        certificates_ = make_certificates();
        if (certificates_.empty()) GTEST_SKIP() << "needs openssl(1)";
        context_ = peer_context(certificates_);
    }
    void TearDown() override {
        SSL_CTX_free(context_);
        if (!certificates_.empty()) (void)!system(("rm -rf " + certificates_).c_str());
    }

    std::vector<std::string> command(const char* role, unsigned connections) const {
        return {actor_, role, certificates_, std::to_string(seed()), std::to_string(connections)};
    }

    // GnuTLS answers some key updates of its peer with "illegal parameter": it makes its own only.
    TlsPlan plan_of_peer(unsigned connection) const {
        TlsPlan plan = TlsPlan::of(seed(), connection);
        if (std::string(GetParam()) == "gnutls") plan.key_updates = false;
        return plan;
    }

    void serve(int listener, unsigned first, std::vector<Seen>& seen) const {
        for (unsigned i = first; i < seen.size(); i += threads) {
            const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            const EgressPlan plan = egress_plan(seed(), i);
            Random random = Random::of(seed() ^ 0x9ee4, i);
            Pace pace;
            pace.slow = plan.slow_peer;
            pace.early = random.chance(10);
            TlsTunnel tunnel(fd, context_, true, plan_of_peer(i), plan.slow_peer,
                             Random(random.next()));
            seen[i] = serve_and_check(tunnel.plain(), plan.stream, pace, random);
            tunnel.close_plain();
            if (!tunnel.problem().empty()) seen[i].problem += " inside TLS: " + tunnel.problem();
            close(fd);
        }
    }

    std::string ask(uint16_t port, unsigned number) const {
        const int fd = try_to_connect(port);
        if (fd < 0) return "could not connect";
        const IngressPlan plan = ingress_plan(seed(), number);
        Pace pace;
        pace.piece = plan.client_piece;
        pace.pipelined = plan.pipelined;
        pace.half_close = plan.half_close;
        TlsTunnel tunnel(fd, context_, false, plan_of_peer(number), false,
                         Random::of(seed() ^ 0x7e1, number));
        std::string problem =
            ask_and_check(tunnel.plain(), plan.stream, pace, Random::of(seed() ^ 0x9ee4, number));
        tunnel.close_plain();
        if (!tunnel.problem().empty()) problem += " inside TLS: " + tunnel.problem();
        close(fd);
        return problem;
    }

    std::string actor_, certificates_;
    SSL_CTX* context_ = nullptr;
};

TEST_P(Tls, PeersGetTheProgramsBytesAndWholeLines) {
    const unsigned connections = scaled(connections_of_a_run);
    std::vector<Seen> seen(connections);
    std::vector<std::string> words = command("client", connections);
    std::vector<int> listeners;
    for (unsigned t = 0; t < threads; ++t) {
        uint16_t port = 0;
        listeners.push_back(listen_on_loopback(port, t % 2 == 0 ? 2304 : 0));
        words.push_back(std::to_string(port));
    }
    TracedRun client(words);
    std::vector<std::thread> peers;
    for (unsigned t = 0; t < threads; ++t)
        peers.emplace_back([&, t] { serve(listeners[t], t, seen); });
    const Outcome outcome = client.wait();
    for (int listener : listeners) shutdown(listener, SHUT_RDWR);  // ends an accept()
    for (std::thread& peer : peers) peer.join();
    for (int listener : listeners) close(listener);
    ASSERT_TRUE(outcome.succeeded()) << outcome.error_text;
    // Nothing is added to what GnuTLS has corked, and its connection may be left.
    const bool gnutls = std::string(GetParam()) == "gnutls";
    egress::check(seed(), seen, outcome,
                  [&](unsigned i) { return gnutls && TlsPlan::of(seed(), i).corks; });
}

TEST_P(Tls, ServersReadTheirClientsBytesButForPermittedEdits) {
    const unsigned connections = scaled(connections_of_a_run);
    char directory[] = "/tmp/remora-ingress-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    std::vector<std::string> words = command("server", connections);
    words.emplace_back(directory);
    std::vector<std::string> problems(connections, "was never served");
    std::vector<int> listeners;
    std::vector<uint16_t> ports(threads);
    for (unsigned t = 0; t < threads; ++t) {
        listeners.push_back(listen_on_loopback(ports[t], t % 2 == 0 ? 2304 : 0));
        fcntl(listeners[t], F_SETFD, 0);
        words.push_back(std::to_string(listeners[t]));
    }
    TracedRun server(words);
    for (int listener : listeners) close(listener);
    std::vector<std::thread> clients;
    for (unsigned t = 0; t < threads; ++t)
        clients.emplace_back([&, t] {
            for (unsigned i = t; i < connections; i += threads)
                if (!(problems[i] = ask(ports[t], i)).empty()) return;
        });
    for (std::thread& client : clients) client.join();
    const Outcome outcome = server.wait();
    EXPECT_TRUE(outcome.succeeded()) << outcome.error_text;
    for (unsigned i = 0; i < connections; ++i)
        ASSERT_EQ(problems[i], "") << "connection " << i << "\n" << outcome.error_text;
    ingress::check(seed(), connections, directory, outcome);
    if (!HasFailure()) (void)!system(("rm -rf " + std::string(directory)).c_str());
}

INSTANTIATE_TEST_SUITE_P(Libraries, Tls, testing::Values("openssl", "gnutls"),
                         [](const auto& library) { return std::string(library.param); });

}  // namespace
}  // namespace torture
