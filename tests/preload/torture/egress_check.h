// SPDX-License-Identifier: Apache-2.0
// What must hold of the requests that traced clients sent: each head is the program's, with one
// line inserted where that is allowed, and the line names the one span that was exported for it.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <map>

#include "tests/preload/torture/egress_plan.h"
#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/http_ends.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture::egress {

struct Tally {
    unsigned requests = 0, inserted = 0, left = 0, missed = 0;
    bool half_followed = false;  // the connection at hand
};

inline void check_span(const Request& request, const HeadVerdict& verdict, const Span& span,
                       const Outcome& outcome) {
    EXPECT_TRUE(span.client());
    EXPECT_EQ(span.attribute("http.request.method"), request.method);
    EXPECT_EQ(span.attribute("http.response.status_code"), std::to_string(request.response.status));
    EXPECT_EQ(span.attribute("http.request.body.size"),
              request.content == 0 ? "" : std::to_string(request.content));
    EXPECT_EQ(span.attribute("http.response.body.size"), std::to_string(request.response.content));
    EXPECT_EQ(span.attribute("remora.end"), request.response.status == 101 ? "tunnel" : "");
    if (verdict.what == HeadVerdict::What::inserted) {
        EXPECT_EQ(span.span_id, verdict.span_id);
    }
    if (request.own == OwnTrace::valid || request.own == OwnTrace::valid_future) {
        EXPECT_EQ(span.trace_id, request.own_trace_id);
        EXPECT_EQ(span.parent_id, request.own_span_id);
    } else {
        const Span* parent = outcome.by_id(span.parent_id);
        ASSERT_NE(parent, nullptr) << "a client's requests are children of the process span";
        EXPECT_EQ(parent->kind, 1);
    }
}

inline void check_request(const Request& request, const std::string& seen,
                          std::map<std::string, std::vector<const Span*>>& by_path,
                          const Outcome& outcome, Tally& tally) {
    SCOPED_TRACE(request.method + " " + request.path);
    ++tally.requests;
    const HeadVerdict verdict = check_head(request, seen, false);
    ASSERT_NE(verdict.what, HeadVerdict::What::wrong) << verdict.explanation;
    const bool foreign = request.own == OwnTrace::valid || request.own == OwnTrace::valid_future;
    if (verdict.what == HeadVerdict::What::inserted) {
        ++tally.inserted;
        if (verdict.flags == "02" && outcome.lost("ring_full") > 0) return;  // says: no span
        const Span* span = outcome.by_id(verdict.span_id);
        ASSERT_NE(span, nullptr) << "no span of the id on the wire " << verdict.span_id;
        EXPECT_EQ(span->trace_id, verdict.trace_id);
        EXPECT_EQ(verdict.flags, "03");
    } else if (tally.half_followed) {
        return;
    } else if (request.odd || request.near_limit || foreign) {
        ++tally.left;
    } else {
        ++tally.missed;
        // Only lines that were cut over two calls excuse it.
        EXPECT_NE(request.own, OwnTrace::none) << "not injected:\n" << seen.substr(0, 2000);
    }
    if (request.method == "CONNECT" || tally.half_followed) return;
    const auto& spans = by_path[request.path];
    if (foreign && !sampled(request)) {
        EXPECT_EQ(spans.size(), 0u) << "its own parent is not sampled";
        return;
    }
    ASSERT_EQ(spans.size(), 1u) << outcome.summary() << "\n" << request.head.substr(0, 2000);
    check_span(request, verdict, *spans[0], outcome);
}

// half_followed: connections of which the shim may lose sight; what it did say must be true.
inline void check(
    uint64_t seed, const std::vector<Seen>& seen, const Outcome& outcome,
    const std::function<bool(unsigned)>& half_followed = [](unsigned) { return false; }) {
    Tally tally;
    std::map<std::string, std::vector<const Span*>> by_path;
    for (const Span& span : outcome.spans) by_path[span.path()].push_back(&span);
    for (unsigned i = 0; i < seen.size(); ++i) {
        SCOPED_TRACE("connection " + std::to_string(i));
        const EgressPlan plan = egress_plan(seed, i);
        tally.half_followed = half_followed(i);
        ASSERT_EQ(seen[i].problem, "");
        ASSERT_EQ(seen[i].heads.size(), plan.stream.requests.size());
        for (size_t k = 0; k < seen[i].heads.size(); ++k)
            check_request(plan.stream.requests[k], seen[i].heads[k], by_path, outcome, tally);
        if (testing::Test::HasFatalFailure()) return;
    }
    printf("%u connections, %u requests: %u injected, %u left alone by rule, %u otherwise; %s\n",
           static_cast<unsigned>(seen.size()), tally.requests, tally.inserted, tally.left,
           tally.missed, outcome.summary().c_str());
    EXPECT_LE(tally.missed, outcome.not_injected());
}

}  // namespace torture::egress
