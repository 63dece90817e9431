// SPDX-License-Identifier: Apache-2.0
// Connections in several hands at once: what goes out is whole requests, and those that carry an id
// have their span, whatever was interrupted, cancelled or closed.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/preload/torture/support/http_stream.h"
#include "tests/preload/torture/support/recording_server.h"
#include "tests/preload/torture/support/seed.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

class Sharing : public testing::Test {
protected:
    void run(const std::string& what, int receive_buffer = 0, bool slow = false) {
        RecordingServer peer(receive_buffer, slow);
        TracedRun client({beside("sharing_actor"), what, std::to_string(peer.port())});
        outcome_ = client.wait();
        ASSERT_TRUE(outcome_.succeeded()) << outcome_.error_text;
        for (const std::string& stream : peer.streams())
            for (const std::string& head : heads_of(stream)) take(head);
        printf("%s: %zu requests, %zu injected; %s\n", what.c_str(), heads_.size(), injected_,
               outcome_.summary().c_str());
    }

    // Every request came once, whole.
    void expect(const std::string& prefix, size_t count) {
        for (size_t i = 0; i < count; ++i)
            EXPECT_EQ(heads_.count(prefix + std::to_string(i)), 1u) << prefix << i;
    }

    size_t count_of(const std::string& prefix) const {
        size_t found = 0;
        for (const auto& [path, injected] : heads_) found += path.rfind(prefix, 0) == 0;
        return found;
    }

    bool cut_ = false;  // streams may end within a request
    Outcome outcome_;
    std::multimap<std::string, bool> heads_;  // by path: was it injected?
    size_t injected_ = 0;

private:
    void take(const std::string& head) {
        std::string value;
        const std::string plain = without_inserted(head, value);
        ASSERT_EQ(plain.find("traceparent"), std::string::npos) << head;
        if (cut_ && plain.rfind("INCOMPLETE", 0) == 0) return;
        ASSERT_EQ(plain.rfind("GET /", 0), 0u) << "not a whole request:\n" << head.substr(0, 500);
        ASSERT_EQ(plain.find("GET ", 1), std::string::npos) << "two in one:\n" << head;
        heads_.emplace(plain.substr(4, plain.find(' ', 4) - 4), !value.empty());
        if (value.empty()) return;
        ++injected_;
        if (value.substr(53) == "02" && outcome_.lost("ring_full") > 0)
            return;  // says itself: no span
        const Span* span = outcome_.by_id(value.substr(36, 16));
        ASSERT_NE(span, nullptr) << "no span of what is on the wire:\n" << head;
        EXPECT_EQ(span->trace_id, value.substr(3, 32));
    }
};

TEST_F(Sharing, AReaderAndAWriter) {
    run("full_duplex", 2304, true);
    expect("/duplex/", 400);
    if (outcome_.lost("concurrent_use") == 0) {
        EXPECT_EQ(injected_, 400u);
        for (const Span& span : outcome_.spans) {
            if (span.client()) {
                EXPECT_EQ(span.attribute("http.response.status_code"), "200") << span.path();
            }
        }
    }
}

TEST_F(Sharing, TwoWriters) {
    run("two_writers");
    expect("/one/", 200);
    expect("/other/", 200);
}

TEST_F(Sharing, AStormOfAlarms) {
    run("alarms", 2304);
    expect("/alarm/", 200);
    EXPECT_EQ(injected_, 200u);
}

TEST_F(Sharing, AHandlerWithAConnectionOfItsOwn) {
    run("handler_elsewhere");
    EXPECT_EQ(count_of("/handler/"), 60u);
    EXPECT_EQ(injected_, heads_.size());
}

TEST_F(Sharing, AHandlerOnTheConnectionThatItInterrupts) {
    run("handler_on_the_same");
    EXPECT_EQ(count_of("/handler/"), 60u);
    EXPECT_GE(count_of("/main/"), 300u);
}

TEST_F(Sharing, CancelledCalls) {
    cut_ = true;
    run("cancelled", 2304);
    for (const auto& [path, injected] : heads_) {
        if (path.rfind("/after/", 0) == 0) {
            EXPECT_TRUE(injected) << path;
        }
    }
    EXPECT_EQ(count_of("/after/"), 17u * 4);
    EXPECT_EQ(outcome_.lost("exchange_unfinished"), 0u) << "a cancelled call kept what it held";
}

TEST_F(Sharing, CallsThatAHandlerJumpsOutOf) {
    run("jumped_out");
    expect("/after/", 40);
    EXPECT_EQ(injected_, 80u);
    EXPECT_EQ(outcome_.lost("exchange_unfinished"), 0u) << "an abandoned call kept what it held";
}

TEST_F(Sharing, EndedByAnotherThread) {
    run("ended_by_another");
    expect("/silent/ended", 40);
    EXPECT_EQ(injected_, 40u);
}

}  // namespace
}  // namespace torture
