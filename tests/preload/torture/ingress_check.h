// SPDX-License-Identifier: Apache-2.0
// What must hold of the requests that traced servers read: their clients' bytes but for permitted
// edits, and the one span that was exported for each.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/preload/torture/ingress_plan.h"
#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture::ingress {

struct Tally {
    unsigned requests = 0, inserted = 0, replaced = 0, left = 0, untouched = 0;
};

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

inline void check_span(const Request& request, const Span& span, bool joined) {
    EXPECT_TRUE(span.server());
    EXPECT_EQ(span.attribute("http.request.method"), request.method);
    EXPECT_EQ(span.attribute("http.response.status_code"), std::to_string(request.response.status));
    EXPECT_EQ(span.attribute("http.request.body.size"),
              request.content == 0 ? "" : std::to_string(request.content));
    EXPECT_EQ(span.attribute("http.response.body.size"), std::to_string(request.response.content));
    EXPECT_EQ(span.attribute("remora.end"), request.response.status == 101 ? "tunnel" : "");
    EXPECT_EQ(span.parent_id, joined ? request.own_span_id : "");
    EXPECT_EQ(span.state, joined && !request.state_is_bad ? request.own_state : "");
    if (joined) {
        EXPECT_EQ(span.trace_id, request.own_trace_id);
    }
}

inline void check_request(const Request& request, const std::string& seen,
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

inline void check(uint64_t seed, unsigned connections, const std::string& directory,
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
        if (testing::Test::HasFatalFailure()) return;
    }
    printf(
        "%u connections, %u requests: %u inserted, %u replaced, %u left alone by rule, %u "
        "otherwise; %s\n",
        connections, tally.requests, tally.inserted, tally.replaced, tally.left, tally.untouched,
        outcome.summary().c_str());
    EXPECT_LE(tally.untouched, outcome.not_injected());
    EXPECT_GT(tally.inserted, tally.requests / 20);
    EXPECT_GT(tally.replaced, 0u);
}

}  // namespace torture::ingress
