// SPDX-License-Identifier: Apache-2.0
// Descriptors that are copied, passed, inherited, closed unseen and used again: requests stay whole
// and are injected where it is certain which socket they are on; files are never touched.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "tests/preload/torture/support/recording_server.h"
#include "tests/preload/torture/support/traced_run.h"

namespace torture {
namespace {

class Descriptors : public testing::Test {
protected:
    void run(const std::string& what, const std::string& actor = "descriptors_actor") {
        RecordingServer peer;
        TracedRun client({beside(actor), what, std::to_string(peer.port())});
        outcome_ = client.wait();
        if (outcome_.status == 77 << 8) GTEST_SKIP() << "SKIP: not allowed here";
        ASSERT_TRUE(outcome_.succeeded()) << outcome_.error_text;
        for (const std::string& stream : peer.streams())
            for (const std::string& head : heads_of(stream)) take(head);
        printf("%s: %zu requests; %s\n", what.c_str(), heads_.size(), outcome_.summary().c_str());
    }

    // Each came once, whole, and names its span, which is complete.
    void expect(const std::string& prefix, unsigned count, const std::string& status = "200") {
        for (unsigned i = 0; i < count; ++i) {
            const std::string path = prefix + std::to_string(i);
            SCOPED_TRACE(path);
            ASSERT_EQ(heads_.count(path), 1u);
            const std::string& value = heads_.find(path)->second;
            ASSERT_NE(value, "") << "not injected";
            const Span* span = outcome_.by_id(value.substr(36, 16));
            ASSERT_NE(span, nullptr) << "no span of what is on the wire";
            EXPECT_EQ(span->path(), path);
            EXPECT_EQ(span->attribute("http.response.status_code"), status);
        }
    }

    const Span& span_of(const std::string& path) const {
        static const Span none;
        for (const Span& span : outcome_.spans)
            if (span.path() == path) return span;
        ADD_FAILURE() << "no span of " << path;
        return none;
    }

    Outcome outcome_;
    std::multimap<std::string, std::string> heads_;  // by path: the inserted value

private:
    void take(const std::string& head) {
        std::string value;
        const std::string plain = without_inserted(head, value);
        if (plain.rfind("INCOMPLETE", 0) == 0) return;
        EXPECT_EQ(plain.find("traceparent: 00"), std::string::npos) << head;
        const size_t path = plain.find(' ') + 1;
        heads_.emplace(plain.substr(path, plain.find(' ', path) - path), value);
    }
};

TEST_F(Descriptors, Copies) {
    run("copies");
    expect("/copy/", 30);
    expect("/again/", 30);
}
TEST_F(Descriptors, PutOverOneInUse) {
    run("put_over");
    expect("/over/", 20);
}
TEST_F(Descriptors, HighNumbers) {
    run("high_numbers");
    if (!IsSkipped()) expect("/high/", 5);
}
TEST_F(Descriptors, ANumberBecomesAFilesUnseen) { run("becomes_a_file", "unseen_actor"); }
TEST_F(Descriptors, ANumberBecomesAnotherSocketsUnseen) {
    run("becomes_another_socket", "unseen_actor");
    EXPECT_EQ(heads_.count("/other/socket"), 1u) << "its body was changed";
}
TEST_F(Descriptors, ClosedByStdio) {
    run("closed_by_stdio", "unseen_actor");
    expect("/stdio/", 5);
    expect("/after/", 5);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(heads_.count("/printed/" + std::to_string(i)), 1u);
}
TEST_F(Descriptors, ClosedInRanges) {
    run("closed_in_ranges", "unseen_actor");
    expect("/range/", 10);
    expect("/after/", 10);
}
TEST_F(Descriptors, Forked) {
    run("forked");
    expect("/fork/", 5);
    EXPECT_EQ(heads_.count("/continued"), 1u);
}
TEST_F(Descriptors, PassedInAMessage) {
    run("passed");
    expect("/passed/", 20);
}
TEST_F(Descriptors, ResetByThePeer) {
    run("reset_by_peer");
    expect("/reset/", 10);
    for (unsigned i = 0; i < 10; ++i) {
        const Span& span = span_of("/reset/" + std::to_string(i));
        EXPECT_EQ(span.attribute("remora.end"), "error");
        EXPECT_EQ(span.attribute("error.type"), "ECONNRESET");
    }
}
TEST_F(Descriptors, HalfClosed) {
    run("half_closed");
    expect("/close/", 10);
    for (unsigned i = 0; i < 10; ++i) {
        const Span& span = span_of("/close/" + std::to_string(i));
        EXPECT_EQ(span.attribute("remora.end"), "");
        EXPECT_EQ(span.attribute("http.response.body.size"), "10");
    }
}

// What the actor says on its stdout.
std::string output_of(const std::string& what, uint16_t port, Outcome& outcome) {
    char name[] = "/tmp/remora-descriptors-XXXXXX";
    close(mkstemp(name));
    TracedRun client({"/bin/sh", "-c",
                      "exec " + beside("descriptors_actor") + " " + what + " " +
                          std::to_string(port) + " >" + name});
    outcome = client.wait();
    std::ifstream file(name);
    std::ostringstream text;
    text << file.rdbuf();
    unlink(name);
    return text.str();
}

TEST_F(Descriptors, ConnectedAtTheSecondAttempt) {
    RecordingServer peer;
    std::istringstream said(output_of("connected_later", peer.port(), outcome_));
    ASSERT_TRUE(outcome_.succeeded()) << outcome_.error_text;
    int number = 0;
    for (uint64_t began = 0; said >> number >> began;)
        EXPECT_GE(span_of("/later/" + std::to_string(number)).start_ns, began)
            << "the span counts the failed attempt";
    EXPECT_EQ(number, 3);
}

TEST_F(Descriptors, BothEndsOfAPair) {
    const std::string said = output_of("unix_pair", 1, outcome_);
    ASSERT_TRUE(outcome_.succeeded()) << outcome_.error_text;
    const std::vector<std::string> heads = heads_of(said);
    ASSERT_EQ(heads.size(), 20u);
    for (size_t i = 0; i < heads.size(); ++i) {
        std::string value;
        const std::string path = "/pair/" + std::to_string(i);
        EXPECT_EQ(without_inserted(heads[i], value),
                  "GET " + path + " HTTP/1.1\r\nHost: peer\r\n\r\n");
        ASSERT_NE(value, "");
        const Span* server = outcome_.by_id(value.substr(36, 16));
        ASSERT_NE(server, nullptr);
        EXPECT_TRUE(server->server()) << "the server is told its own span";
        const Span* client = outcome_.by_id(server->parent_id);
        ASSERT_NE(client, nullptr);
        EXPECT_TRUE(client->client());
        EXPECT_EQ(client->path(), path);
        EXPECT_EQ(client->trace_id, server->trace_id);
    }
}

}  // namespace
}  // namespace torture
