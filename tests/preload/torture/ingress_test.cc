// SPDX-License-Identifier: Apache-2.0
// What a server reads: its clients' bytes but for permitted edits, through every call and into
// every buffer; no stall; a span for each request with the right status, sizes and parent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/preload/torture/ingress_plan.h"
#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

constexpr unsigned threads = 3;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

struct Tally {
    unsigned requests = 0, inserted = 0, replaced = 0, left = 0, untouched = 0;
};

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
        check(seed, connections, directory, outcome);
        if (!HasFailure()) (void)!system(("rm -rf " + std::string(directory)).c_str());
    }

    static void check(uint64_t seed, unsigned connections, const std::string& directory,
                      const Outcome& outcome) {
        Tally tally;
        std::map<std::string, std::vector<const Span*>> by_path;
        for (const Span& span : outcome.spans) by_path[span.path()].push_back(&span);
        for (unsigned i = 0; i < connections; ++i) {
            SCOPED_TRACE("connection " + std::to_string(i));
            const IngressPlan plan = ingress_plan(seed, i);
            const std::string in = read_file(directory + "/in-" + std::to_string(i));
            size_t at = 0;
            for (const Request& request : plan.stream.requests) {
                const size_t head = head_size_at(in, at);
                check_request(request, in.substr(at, head), by_path, outcome, tally);
                ASSERT_EQ(in.compare(at + head, request.body.size(), request.body), 0)
                    << "the body of " << request.path << " was changed";
                at += head + request.body.size();
            }
            ASSERT_EQ(in.substr(at), plan.stream.tail);
            if (HasFatalFailure()) return;
        }
        printf(
            "%u connections, %u requests: %u inserted, %u replaced, %u left alone by rule, %u "
            "otherwise; %s\n",
            connections, tally.requests, tally.inserted, tally.replaced, tally.left,
            tally.untouched, outcome.summary().c_str());
        EXPECT_LE(tally.untouched, outcome.not_injected());
        EXPECT_GT(tally.inserted, tally.requests / 20);
        EXPECT_GT(tally.replaced, 0u);
    }

    static void check_request(const Request& request, const std::string& seen,
                              std::map<std::string, std::vector<const Span*>>& by_path,
                              const Outcome& outcome, Tally& tally) {
        SCOPED_TRACE(request.method + " " + request.path);
        using What = HeadVerdict::What;
        ++tally.requests;
        const HeadVerdict verdict = check_head(request, seen, true);
        ASSERT_NE(verdict.what, What::wrong) << verdict.explanation;
        tally.inserted += verdict.what == What::inserted;
        tally.replaced += verdict.what == What::replaced;
        const bool joined = request.own == OwnTrace::valid || request.own == OwnTrace::valid_future;
        const bool untouched = verdict.what == What::untouched;
        const bool by_rule = request.odd || (request.near_limit && !joined);
        (by_rule ? tally.left : tally.untouched) += untouched;
        if (joined && !sampled(request)) {
            if (!untouched) {
                EXPECT_EQ(verdict.flags[1] & 1, 0);
            }
            EXPECT_EQ(by_path[request.path].size(), 0u);
            return;
        }
        if (request.method == "CONNECT") return;
        const auto& spans = by_path[request.path];
        ASSERT_EQ(spans.size(), 1u) << outcome.summary() << "\n" << request.head.substr(0, 2000);
        if (!untouched) {
            EXPECT_EQ(verdict.flags[1] & 1, 1);
            EXPECT_EQ(spans[0]->span_id, verdict.span_id);
            EXPECT_EQ(spans[0]->trace_id, verdict.trace_id);
        }
        check_span(request, *spans[0], joined);
    }

    static void check_span(const Request& request, const Span& span, bool joined) {
        EXPECT_TRUE(span.server());
        EXPECT_EQ(span.attribute("http.request.method"), request.method);
        EXPECT_EQ(span.attribute("http.response.status_code"),
                  std::to_string(request.response.status));
        EXPECT_EQ(span.attribute("http.request.body.size"),
                  request.content == 0 ? "" : std::to_string(request.content));
        EXPECT_EQ(span.attribute("http.response.body.size"),
                  std::to_string(request.response.content));
        EXPECT_EQ(span.attribute("remora.end"), request.response.status == 101 ? "tunnel" : "");
        EXPECT_EQ(span.parent_id, joined ? request.own_span_id : "");
        EXPECT_EQ(span.state, joined && !request.state_is_bad ? request.own_state : "");
        if (joined) {
            EXPECT_EQ(span.trace_id, request.own_trace_id);
        }
    }
};

TEST_F(Ingress, ServersReadTheirClientsBytesButForPermittedEdits) { run(seed(), scaled(400)); }

}  // namespace
}  // namespace torture
