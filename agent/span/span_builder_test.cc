// SPDX-License-Identifier: Apache-2.0
#include "agent/span/span_builder.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "agent/base/utf8.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t millisecond = 1'000'000;
constexpr ClockOffset clock_now{.monotonic_ns = 1000 * millisecond,
                                .realtime_ns = 1'700'000'000'000'000'000};

std::string text(const Span& span, std::string_view key) {
    const Attribute* found = find_attribute(span.attributes, key);
    if (found == nullptr) return "(none)";
    if (const auto* number = std::get_if<int64_t>(&found->value)) return std::to_string(*number);
    if (const auto* string = std::get_if<std::string>(&found->value)) return *string;
    return "(other)";
}

class SpanBuilderTest : public testing::Test {
protected:
    SpanBuilderTest() {
        memset(exchange_.trace_id, 1, 16);
        memset(exchange_.span_id, 2, 8);
        memset(exchange_.parent_id, 3, 8);
        exchange_.trace_flags = 3;
        exchange_.role = REMORA_ROLE_CLIENT;
        exchange_.join = REMORA_JOIN_THREAD;
        exchange_.end = REMORA_END_COMPLETE;
        exchange_.start_ns = 900 * millisecond;
        exchange_.response_start_ns = 910 * millisecond;
        exchange_.end_ns = 920 * millisecond;
        exchange_.peer.family = AF_INET;
        exchange_.peer.port = 8080;
        memcpy(exchange_.peer.bytes, "\xc0\x00\x02\x01", 4);
        set_protocol("carrier-pigeon");
    }
    void set_protocol(const char* name) {
        memset(exchange_.protocol, 0, sizeof(exchange_.protocol));
        memcpy(exchange_.protocol, name, strnlen(name, sizeof(exchange_.protocol)));
    }
    std::optional<Span> try_build() {
        return builder_.build({exchange_, request_, tracestate_, response_, opening_}, clock_now,
                              resource_);
    }
    Span build() {
        auto span = try_build();
        EXPECT_TRUE(span);
        return span ? *span : Span();
    }

    remora_exchange exchange_ = {};
    ByteView request_, tracestate_, response_, opening_;
    std::shared_ptr<const Resource> resource_ = std::make_shared<Resource>();
    uint64_t invalid_ = 0;
    SpanBuilder builder_{[this](remora_loss reason, uint64_t count) {
        if (reason == REMORA_LOSS_record_invalid) invalid_ += count;
    }};
};

TEST_F(SpanBuilderTest, WhatRanInsideTlsSaysSo) {
    exchange_.tls_version = 0x0303;
    EXPECT_EQ(text(build(), "tls.protocol.version"), "(none)");
    exchange_.marks = REMORA_MARK_TLS;
    EXPECT_EQ(text(build(), "tls.protocol.version"), "1.2");
}

TEST_F(SpanBuilderTest, TakesIdsTimesAndKind) {
    const Span span = build();
    EXPECT_EQ(span.trace_id.bytes[15], 1);
    EXPECT_EQ(span.span_id.bytes[7], 2);
    EXPECT_EQ(span.parent_id.bytes[7], 3);
    EXPECT_EQ(span.trace_flags, 3);
    EXPECT_EQ(span.kind, SpanKind::client);
    EXPECT_EQ(span.start_unix_ns, clock_now.realtime_ns - 100 * millisecond);
    EXPECT_EQ(span.end_unix_ns, clock_now.realtime_ns - 80 * millisecond);
    EXPECT_EQ(span.resource, resource_);
    EXPECT_EQ(span.status, StatusCode::unset);
    EXPECT_EQ(text(span, "remora.join"), "thread");
    EXPECT_EQ(text(span, "remora.end"), "(none)");
    EXPECT_EQ(text(span, "error.type"), "(none)");
    EXPECT_EQ(invalid_, 0u);
}

TEST_F(SpanBuilderTest, AnUnknownProtocolNamesItsSpan) {
    EXPECT_EQ(build().name, "carrier-pigeon");
    set_protocol("");
    EXPECT_EQ(build().name, "unknown");
    set_protocol(
        "a\xff"
        "b");
    EXPECT_EQ(build().name,
              "a\xef\xbf\xbd"
              "b");
    memset(exchange_.protocol, 'x', sizeof(exchange_.protocol));  // no NUL
    EXPECT_EQ(build().name, std::string(16, 'x'));
}

TEST_F(SpanBuilderTest, AKnownProtocolDescribesItself) {
    if (find_describe("http") == nullptr) GTEST_SKIP() << "built without http";
    set_protocol("http");
    request_ = "GET /cart/7?x=1 HTTP/1.1\nhost: shop:8080\n";
    response_ = "HTTP/1.1 503\n";
    const Span span = build();
    EXPECT_EQ(span.name, "GET");
    EXPECT_EQ(text(span, "http.request.method"), "GET");
    EXPECT_EQ(text(span, "http.response.status_code"), "503");
    EXPECT_EQ(text(span, "error.type"), "503");
    EXPECT_EQ(span.status, StatusCode::error);
}

TEST_F(SpanBuilderTest, TheProtocolsErrorTypeStandsBeforeTheTransports) {
    if (find_describe("http") == nullptr) GTEST_SKIP() << "built without http";
    set_protocol("http");
    request_ = "GET / HTTP/1.1\nhost: shop\n";
    response_ = "HTTP/1.1 500\n";
    exchange_.end = REMORA_END_PEER;
    Span span = build();
    EXPECT_EQ(text(span, "error.type"), "500");
    EXPECT_EQ(text(span, "remora.end"), "peer");
    response_ = "HTTP/1.1 200\n";  // and then cut short
    span = build();
    EXPECT_EQ(text(span, "error.type"), "connection_closed");
    EXPECT_EQ(span.status, StatusCode::error);
}

TEST_F(SpanBuilderTest, KindFollowsTheRole) {
    exchange_.role = REMORA_ROLE_SERVER;
    EXPECT_EQ(build().kind, SpanKind::server);
    exchange_.role = 77;
    EXPECT_EQ(build().kind, SpanKind::internal);
}

TEST_F(SpanBuilderTest, OnlyAnIncomingHeaderMakesTheParentRemote) {
    for (int join = 0; join < 9; ++join) {
        exchange_.join = static_cast<uint8_t>(join);
        EXPECT_EQ(build().parent_is_remote, join == REMORA_JOIN_REMOTE) << join;
    }
    exchange_.join = REMORA_JOIN_REMOTE;
    memset(exchange_.parent_id, 0, 8);
    EXPECT_FALSE(build().parent_is_remote);
}

TEST_F(SpanBuilderTest, SaysHowItWasJoined) {
    const char* names[] = {"root",    "remote", "header",  "origin",
                           "carrier", "thread", "process", "program"};
    for (uint8_t join = 0; join < 8; ++join) {
        exchange_.join = join;
        EXPECT_EQ(text(build(), "remora.join"), names[join]);
    }
}

TEST_F(SpanBuilderTest, RefusesARecordWithoutIds) {
    memset(exchange_.trace_id, 0, 16);
    EXPECT_FALSE(try_build());
    memset(exchange_.trace_id, 1, 16);
    memset(exchange_.span_id, 0, 8);
    EXPECT_FALSE(try_build());
    EXPECT_EQ(invalid_, 2u);
}

struct EndCase {
    uint8_t end;
    int error_number;
    const char* name;
    const char* client_error;
    const char* server_error;
};

TEST_F(SpanBuilderTest, TheEndDecidesWhetherItIsAnError) {
    const EndCase cases[] = {
        {REMORA_END_COMPLETE, 0, "(none)", "(none)", "(none)"},
        {REMORA_END_LOCAL, 0, "local", "(none)", "(none)"},  // the client's own cancellation
        {REMORA_END_PEER, 0, "peer", "connection_closed", "(none)"},
        {REMORA_END_ERROR, ECONNRESET, "error", "ECONNRESET", "(none)"},
        {REMORA_END_ERROR, EPIPE, "error", "EPIPE", "(none)"},
        {REMORA_END_ERROR, ETIMEDOUT, "error", "ETIMEDOUT", "ETIMEDOUT"},
        {REMORA_END_ERROR, 123456, "error", "_OTHER", "_OTHER"},
        {REMORA_END_ERROR, -1, "error", "_OTHER", "_OTHER"},
        {REMORA_END_TUNNEL, 0, "tunnel", "(none)", "(none)"},
        {REMORA_END_IDLE, 0, "idle", "(none)", "(none)"},
        {REMORA_END_PROCESS, 0, "process", "unfinished", "unfinished"},
        {REMORA_END_UNFOLLOWED, 0, "unfollowed", "(none)", "(none)"},
        {200, 0, "unfollowed", "(none)", "(none)"},
    };
    for (const EndCase& c : cases) {
        exchange_.end = c.end;
        exchange_.error_number = c.error_number;
        for (const uint8_t role : {uint8_t{REMORA_ROLE_CLIENT}, uint8_t{REMORA_ROLE_SERVER}}) {
            exchange_.role = role;
            const std::string expected =
                role == REMORA_ROLE_CLIENT ? c.client_error : c.server_error;
            const Span span = build();
            EXPECT_EQ(text(span, "remora.end"), c.name) << int{c.end};
            EXPECT_EQ(text(span, "error.type"), expected) << int{c.end} << ' ' << int{role};
            EXPECT_EQ(span.status == StatusCode::error, expected != "(none)") << int{c.end};
        }
    }
}

TEST_F(SpanBuilderTest, AnUnfinishedExchangeSaysSo) {
    exchange_.end = REMORA_END_PROCESS;
    EXPECT_EQ(build().status_message, "process ended before the response was complete");
}

TEST_F(SpanBuilderTest, SetsThePeer) {
    Span span = build();
    EXPECT_EQ(text(span, "network.peer.address"), "192.0.2.1");
    EXPECT_EQ(text(span, "network.peer.port"), "8080");
    EXPECT_EQ(text(span, "network.transport"), "(none)");
    exchange_.peer.family = AF_INET6;
    inet_pton(AF_INET6, "2001:db8::1", exchange_.peer.bytes);
    EXPECT_EQ(text(build(), "network.peer.address"), "2001:db8::1");
    exchange_.peer.family = AF_UNIX;
    span = build();
    EXPECT_EQ(text(span, "network.transport"), "unix");
    EXPECT_EQ(text(span, "network.peer.address"), "(none)");
    exchange_.peer.family = 0;
    EXPECT_EQ(text(build(), "network.peer.port"), "(none)");
}

TEST_F(SpanBuilderTest, TheFirstByteIsAnEventOfClients) {
    Span span = build();
    ASSERT_THAT(span.events, SizeIs(1));
    EXPECT_EQ(span.events[0].name, "first_byte");
    EXPECT_EQ(span.events[0].time_unix_ns, clock_now.realtime_ns - 90 * millisecond);
    exchange_.response_start_ns = 0;
    EXPECT_THAT(build().events, IsEmpty());
    exchange_.response_start_ns = 999 * millisecond;  // after the end
    EXPECT_THAT(build().events, IsEmpty());
    exchange_.response_start_ns = 910 * millisecond;
    exchange_.role = REMORA_ROLE_SERVER;
    EXPECT_THAT(build().events, IsEmpty());
}

class OpeningEventsTest : public SpanBuilderTest {
protected:
    OpeningEventsTest() {
        opening_ = ByteView(reinterpret_cast<const uint8_t*>(&told_), sizeof(told_));
        strcpy(told_.host, "shop.test");
        told_.lookup_start_ns = 900 * millisecond;
        told_.lookup_end_ns = 902 * millisecond;
        told_.connect_start_ns = 903 * millisecond;
        told_.connect_end_ns = 904 * millisecond;
        told_.tls_start_ns = 904 * millisecond;
        told_.tls_end_ns = 908 * millisecond;
    }
    void fail(uint64_t end_ms, int error_number) {
        remora_attempt& attempt = told_.attempts[told_.failed++];
        attempt = {end_ms * millisecond - 1, end_ms * millisecond, exchange_.peer, error_number};
        attempt.peer.bytes[3] = 9;
    }
    void never_connected(int error_number, uint8_t end = REMORA_END_ERROR) {
        set_protocol("connect");
        told_.connect_start_ns = told_.connect_end_ns = told_.tls_start_ns = told_.tls_end_ns = 0;
        exchange_.response_start_ns = 0;
        exchange_.end = end;
        exchange_.error_number = error_number;
        fail(920, error_number);
    }
    static std::vector<std::string> names(const Span& span) {
        std::vector<std::string> out;
        for (const SpanEvent& event : span.events) out.push_back(event.name);
        return out;
    }
    static std::string of(const SpanEvent& event, std::string_view key) {
        Span span;
        span.attributes = event.attributes;
        return text(span, key);
    }
    remora_opening told_{};
};

TEST_F(OpeningEventsTest, StandInTheOrderOfTheirTimes) {
    fail(903, ECONNREFUSED);
    const Span span = build();
    ASSERT_THAT(names(span), testing::ElementsAre("dns", "connect.failed", "connect",
                                                  "tls.handshake", "first_byte"));
    EXPECT_EQ(of(span.events[0], "dns.question.name"), "shop.test");
    EXPECT_EQ(std::get<double>(span.events[0].attributes[0].value), 0.002);
    EXPECT_EQ(span.events[0].time_unix_ns, clock_now.wall(902 * millisecond));
    EXPECT_EQ(of(span.events[1], "error.type"), "ECONNREFUSED");
    EXPECT_EQ(of(span.events[1], "network.peer.address"), "192.0.2.9");
    EXPECT_EQ(of(span.events[2], "network.peer.address"), "192.0.2.1");
    EXPECT_EQ(of(span.events[2], "network.peer.port"), "8080");
    EXPECT_EQ(of(span.events[3], "error.type"), "(none)");
    exchange_.role = REMORA_ROLE_SERVER;
    EXPECT_THAT(build().events, IsEmpty());
}

TEST_F(OpeningEventsTest, AConnectThatFailedIsNamedSo) {
    never_connected(ECONNREFUSED);
    Span span = build();
    EXPECT_EQ(span.name, "connect");
    EXPECT_EQ(span.status, StatusCode::error);
    EXPECT_EQ(span.status_message, "Connection refused");
    EXPECT_EQ(text(span, "error.type"), "ECONNREFUSED");
    EXPECT_EQ(text(span, "server.address"), "shop.test");
    EXPECT_EQ(text(span, "server.port"), "8080");
    EXPECT_THAT(names(span), testing::ElementsAre("dns"));  // the attempt is the span
    told_.host[0] = 0;
    EXPECT_EQ(text(build(), "server.address"), "192.0.2.1");
}

TEST_F(OpeningEventsTest, GivingUpIsATimeoutOrNobodysError) {
    never_connected(REMORA_GAVE_UP_TIMEOUT, REMORA_END_LOCAL);
    EXPECT_EQ(text(build(), "error.type"), "timeout");
    told_.failed = 0;
    never_connected(REMORA_GAVE_UP, REMORA_END_LOCAL);
    EXPECT_EQ(build().status, StatusCode::unset);
    EXPECT_EQ(text(build(), "remora.end"), "local");
    told_.failed = 0;
    never_connected(0, REMORA_END_PROCESS);
    told_.failed = 0;
    EXPECT_EQ(text(build(), "error.type"), "unfinished");
    EXPECT_EQ(build().status_message, "process ended before the connection was made");
}

TEST_F(OpeningEventsTest, AHandshakeThatFailed) {
    set_protocol("connect");
    exchange_.end = REMORA_END_LOCAL;
    told_.tls_failed = 1;
    const Span span = build();
    EXPECT_EQ(text(span, "error.type"), "tls_handshake");
    EXPECT_THAT(names(span),
                testing::ElementsAre("dns", "connect", "tls.handshake", "first_byte"));
    EXPECT_EQ(of(span.events[2], "error.type"), "tls_handshake");
}

TEST_F(OpeningEventsTest, TimesThatCannotBeAreNotTold) {
    told_.lookup_end_ns = told_.lookup_start_ns - 1;
    told_.connect_start_ns = exchange_.start_ns - 1;
    told_.tls_end_ns = exchange_.end_ns + 1;
    EXPECT_THAT(names(build()), testing::ElementsAre("first_byte"));
    told_.failed = ~0u;
    for (remora_attempt& attempt : told_.attempts) attempt.error_number = -77;
    EXPECT_THAT(names(build()), testing::ElementsAre("first_byte"));
}

TEST_F(SpanBuilderTest, ABatchHasASize) {
    EXPECT_EQ(text(build(), "remora.batch.size"), "(none)");
    exchange_.batch = 5;
    EXPECT_EQ(text(build(), "remora.batch.size"), "5");
}

TEST_F(SpanBuilderTest, ATracestateIsKeptOnlyWhenItIsOne) {
    tracestate_ = "vendor=1,other=2";
    EXPECT_EQ(build().trace_state, "vendor=1,other=2");
    tracestate_ = "Vendor=\xff";
    EXPECT_EQ(build().trace_state, "");
}

TEST_F(SpanBuilderTest, MendsTimesThatMakeNoSense) {
    exchange_.end_ns = exchange_.start_ns - 1;
    Span span = build();
    EXPECT_EQ(span.end_unix_ns, span.start_unix_ns);
    EXPECT_EQ(invalid_, 1u);

    exchange_.end_ns = 920 * millisecond;
    exchange_.start_ns = ~uint64_t{0};
    span = build();
    EXPECT_EQ(span.start_unix_ns, clock_now.wall(exchange_.end_ns));
    EXPECT_EQ(invalid_, 2u);

    exchange_.end_ns = uint64_t{1} << 62;
    span = build();
    EXPECT_EQ(span.start_unix_ns, clock_now.realtime_ns);
    EXPECT_EQ(span.end_unix_ns, clock_now.realtime_ns);
    EXPECT_EQ(invalid_, 3u);
}

TEST_F(SpanBuilderTest, WithoutAnEndTheLastActivityCounts) {
    exchange_.end = REMORA_END_PROCESS;
    exchange_.end_ns = 0;
    exchange_.activity_ns = 915 * millisecond;
    const Span span = build();
    EXPECT_EQ(span.end_unix_ns, clock_now.wall(915 * millisecond));
    EXPECT_EQ(invalid_, 0u);
}

// A target may write anything into its lane: whatever it is, texts stay well-formed, times
// ordered, and nothing crashes (run under sanitizers).
TEST_F(SpanBuilderTest, AnyBytesGiveASpanOrNone) {
    const unsigned seed = 20240501;
    SCOPED_TRACE(seed);
    std::srand(seed);
    std::string bytes(2000, '\0');
    for (int round = 0; round < 2000; ++round) {
        auto* raw = reinterpret_cast<uint8_t*>(&exchange_);
        for (size_t i = 0; i < sizeof(exchange_); ++i) raw[i] = static_cast<uint8_t>(std::rand());
        if (round % 2 == 0) set_protocol(round % 4 == 0 ? "http" : "redis");
        for (char& c : bytes) c = static_cast<char>(std::rand());
        const size_t cut = static_cast<size_t>(std::rand()) % 1000;
        request_ = ByteView(bytes.data(), cut);
        tracestate_ = ByteView(bytes.data() + cut, 300);
        response_ = ByteView(bytes.data() + cut + 300, 500);
        opening_ = ByteView(bytes.data() + cut, round % 3 == 0 ? 0 : sizeof(remora_opening));
        if (round % 8 == 1) set_protocol("connect");
        const auto span = try_build();
        if (!span) continue;
        EXPECT_LE(span->start_unix_ns, span->end_unix_ns);
        EXPECT_TRUE(is_valid_utf8(span->name));
        EXPECT_FALSE(span->name.empty());
        for (const Attribute& attribute : span->attributes)
            if (const auto* value = std::get_if<std::string>(&attribute.value)) {
                EXPECT_TRUE(is_valid_utf8(*value));
            }
    }
}

}  // namespace
}  // namespace remora
