// SPDX-License-Identifier: Apache-2.0
#include "preload/opening.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <thread>
#include <vector>

#include "preload/descriptors.h"
#include "preload/opening_state.h"
#include "preload/test_connection.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

const std::string get = "GET / HTTP/1.1\r\n\r\n";

// Lookups are the process's: each test has addresses of its own.
struct Address {
    explicit Address(const char* text, uint16_t port = 80) {
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        inet_pton(AF_INET, text, &in.sin_addr);
    }
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&in); }
    sockaddr_in in{};
};

void look_up(const char* host, std::initializer_list<Address> addresses) {
    HostAddresses found;
    for (const Address& address : addresses) found.add(address.get(), sizeof(address.in));
    const uint64_t now = monotonic_now();
    note_lookup(host, now - 1000, now, found);
}

class Client {
public:
    explicit Client(int flags = 0) : fd_(::socket(AF_INET, SOCK_STREAM | flags, 0)) {
        note_socket(fd_, AF_INET, SOCK_STREAM | flags);
    }
    ~Client() { close(); }
    Client(const Client&) = delete;

    // What connect() said.
    Client& connects(const Address& to, int error_number) {
        const uint32_t fallback = begin_fallback();
        const uint64_t began = monotonic_now();
        end_fallback(fallback);
        note_connect_returned(fd_, to.get(), sizeof(to.in), began, error_number);
        return *this;
    }
    void learns(int error_number) { note_connect_outcome(conn(), fd_, error_number); }
    ssize_t send(const std::string& bytes) {
        const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        Outgoing out{};
        out.fd = fd_;
        out.via = Via::send;
        out.parts = &part;
        out.count = 1;
        out.original = [](const Outgoing& o) noexcept {
            return FakeKernel::current()->send_parts(o.parts, o.count);
        };
        return transmit(conn(), out);
    }
    void close() {
        if (fd_ < 0) return;
        note_closing(fd_);
        ::close(fd_);
        fd_ = -1;
    }
    [[nodiscard]] Conn& conn() const { return *conn_of(fd_); }

private:
    int fd_;
};

struct Told {
    remora_exchange exchange;
    remora_opening opening;  // zeros where there is none
    [[nodiscard]] std::string protocol() const { return exchange.protocol; }
};

class OpeningTest : public WithFakeKernel {
protected:
    ~OpeningTest() override { thread_state.wait_timed_out = false; }

    template <typename Wanted>
    std::vector<Told> slots(Wanted wanted) {
        std::vector<Told> out;
        for (uint32_t i = 0; i < session.control.lanes; ++i)
            for (unsigned slot = 1; slot <= REMORA_SLOTS_PER_LANE; ++slot) {
                const remora_lane& lane = session.lane(i);
                if (!wanted(lane, slot)) continue;
                Told told{lane.slots[slot - 1].exchange, {}};
                if (told.exchange.opening_size == sizeof(told.opening))
                    memcpy(&told.opening, lane.slots[slot - 1].payload, sizeof(told.opening));
                out.push_back(told);
            }
        return out;
    }
    std::vector<Told> done() {
        return slots([](const remora_lane& lane, unsigned slot) {
            return (lane.head.done >> slot & 1) != 0;
        });
    }
    std::vector<Told> open() {
        return slots([](const remora_lane& lane, unsigned slot) {
            return (lane.slots[slot - 1].state & 0xff) == REMORA_SLOT_OPEN &&
                   (lane.head.free >> slot & 1) == 0;
        });
    }
};

TEST_F(OpeningTest, TheFirstRequestTellsLookupAndConnect) {
    const Address address("10.0.1.1");
    look_up("one.test", {address});
    Client client;
    client.connects(address, 0).send(get + get);
    client.close();
    const auto told = done();
    ASSERT_THAT(told, SizeIs(2));
    const remora_opening& opening = told[0].opening;
    EXPECT_STREQ(opening.host, "one.test");
    EXPECT_LT(opening.lookup_start_ns, opening.lookup_end_ns);
    EXPECT_LE(opening.lookup_end_ns, opening.connect_start_ns);
    EXPECT_LE(opening.connect_start_ns, opening.connect_end_ns);
    EXPECT_EQ(told[0].exchange.start_ns, opening.lookup_start_ns);
    EXPECT_EQ(told[1].exchange.opening_size, 0);
    EXPECT_EQ(opening.failed, 0u);
}

TEST_F(OpeningTest, ALookupIsOneConnections) {
    const Address address("10.0.2.1");
    look_up("once.test", {address});
    Client first, second;
    first.connects(address, 0).send(get);
    second.connects(address, 0).send(get);
    first.close();
    second.close();
    const auto told = done();
    ASSERT_THAT(told, SizeIs(2));
    EXPECT_NE(told[0].opening.lookup_start_ns, 0u);
    EXPECT_EQ(told[1].opening.lookup_start_ns, 0u);
    EXPECT_NE(told[1].opening.connect_end_ns, 0u);
}

TEST_F(OpeningTest, OfTwoLookupsNoneIsTold) {
    const Address address("10.0.3.1");
    look_up("a.test", {address});
    look_up("b.test", {address});
    for (int i = 0; i < 3; ++i) {  // the third one has no lookup any more
        Client client;
        client.connects(address, 0).send(get);
    }
    EXPECT_EQ(session.lost(REMORA_LOSS_opening_uncertain), 2u);
    for (const Told& told : done()) {
        EXPECT_EQ(told.opening.lookup_start_ns, 0u);
        EXPECT_STREQ(told.opening.host, "");
    }
    look_up("c.test", {address});
    Client client;
    client.connects(address, 0).send(get);
    client.close();
    EXPECT_STREQ(done().back().opening.host, "c.test");
}

TEST_F(OpeningTest, AFailureWithoutFallbackIsASpanAtOnce) {
    Client client;
    client.connects(Address("10.0.4.1"), ECONNREFUSED);
    auto told = done();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_EQ(told[0].protocol(), "connect");
    EXPECT_EQ(told[0].exchange.end, REMORA_END_ERROR);
    EXPECT_EQ(told[0].exchange.error_number, ECONNREFUSED);
    EXPECT_EQ(told[0].exchange.peer.port, 80);
    // The same descriptor again, with success: a connection as any.
    client.connects(Address("10.0.4.1"), 0).send(get);
    client.close();
    told = done();
    ASSERT_THAT(told, SizeIs(2));
    EXPECT_EQ(told[1].protocol(), "http");
    EXPECT_EQ(told[1].opening.failed, 0u);
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, AFallbackThatSucceedsMakesTheFailureAnEvent) {
    const Address first("10.0.5.1"), second("10.0.5.2");
    look_up("two.test", {first, second});
    Client{}.connects(first, ECONNREFUSED);
    EXPECT_THAT(done(), IsEmpty());
    ASSERT_THAT(open(), SizeIs(1));  // should nothing follow
    EXPECT_TRUE(open()[0].exchange.marks & REMORA_MARK_STANDS);
    EXPECT_EQ(open()[0].exchange.error_number, ECONNREFUSED);
    Client client;
    client.connects(second, 0);
    EXPECT_THAT(open(), IsEmpty());
    client.send(get);
    client.close();
    const auto told = done();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_EQ(told[0].protocol(), "http");
    EXPECT_EQ(told[0].opening.failed, 1u);
    EXPECT_EQ(told[0].opening.attempts[0].error_number, ECONNREFUSED);
    EXPECT_STREQ(told[0].opening.host, "two.test");
}

TEST_F(OpeningTest, WhatTheAgentHasTakenIsNoEventAnyMore) {
    const Address first("10.0.6.1"), second("10.0.6.2");
    look_up("taken.test", {first, second});
    Client{}.connects(first, ECONNREFUSED);
    for (unsigned i = 0; i < REMORA_SLOTS_PER_LANE; ++i) {
        uint64_t& state = session.lane(0).slots[i].state;
        if ((state & 0xff) == REMORA_SLOT_OPEN)
            state = REMORA_SLOT_WORD(state >> 8, REMORA_SLOT_TAKEN);
    }
    Client client;
    client.connects(second, 0).send(get);
    client.close();
    ASSERT_THAT(done(), SizeIs(1));
    EXPECT_EQ(done()[0].opening.failed, 0u);
}

TEST_F(OpeningTest, TheSameAddressAgainIsNoFallback) {
    const Address first("10.0.16.1"), second("10.0.16.2");
    look_up("again.test", {first, second});
    Client{}.connects(first, ECONNREFUSED);
    Client{}.connects(first, ECONNRESET);
    ASSERT_THAT(done(), SizeIs(1));
    EXPECT_EQ(done()[0].exchange.error_number, ECONNRESET);
    EXPECT_EQ(done()[0].opening.lookup_start_ns, 0u);
    EXPECT_THAT(open(), SizeIs(1));
    Client{}.connects(second, 0);
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, WhenAllAddressesHaveFailedThereIsOneSpan) {
    const Address first("10.0.7.1"), second("10.0.7.2");
    look_up("none.test", {first, second});
    Client a(SOCK_NONBLOCK), b(SOCK_NONBLOCK);
    a.connects(first, EINPROGRESS);
    b.connects(second, EINPROGRESS);
    b.learns(EHOSTUNREACH);
    EXPECT_THAT(done(), IsEmpty());  // the other one is still on its way
    a.learns(ETIMEDOUT);
    const auto told = done();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_EQ(told[0].exchange.error_number, ETIMEDOUT);
    EXPECT_EQ(told[0].opening.failed, 2u);
    EXPECT_EQ(told[0].opening.attempts[0].error_number, EHOSTUNREACH);
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, AConnectOnItsWayIsThereShouldTheProcessEnd) {
    Client client(SOCK_NONBLOCK);
    client.connects(Address("10.0.8.1"), EINPROGRESS);
    ASSERT_THAT(open(), SizeIs(1));
    EXPECT_EQ(open()[0].protocol(), "connect");
    EXPECT_NE(open()[0].exchange.trace_id[0] | open()[0].exchange.trace_id[15], 0);
    EXPECT_FALSE(open()[0].exchange.marks & REMORA_MARK_STANDS);
    client.connects(Address("10.0.8.1"), EISCONN);  // the outcome, asked for
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, ClosedOnTheWayItWasGivenUp) {
    for (const bool timed_out : {true, false}) {
        Client client(SOCK_NONBLOCK);
        client.connects(Address("10.0.9.1"), EINPROGRESS);
        thread_state.wait_timed_out = timed_out;
        client.close();
        const auto told = done();
        ASSERT_THAT(told, SizeIs(1));
        EXPECT_EQ(told[0].exchange.end, REMORA_END_LOCAL);
        EXPECT_EQ(told[0].exchange.error_number,
                  timed_out ? REMORA_GAVE_UP_TIMEOUT : REMORA_GAVE_UP);
        free_finished(session);
    }
}

TEST_F(OpeningTest, ARequestThatCouldNotBeSentIsNoRequest) {
    Client client(SOCK_NONBLOCK);
    client.connects(Address("10.0.10.1"), EINPROGRESS);
    kernel.takes = {0};
    EXPECT_EQ(client.send(get), -1);  // not yet connected
    EXPECT_THAT(done(), IsEmpty());
    client.send(get);
    client.close();
    ASSERT_THAT(done(), SizeIs(1));
    EXPECT_EQ(done()[0].protocol(), "http");
    EXPECT_NE(done()[0].opening.connect_end_ns, 0u);
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, AHandshakeBelongsToTheOpening) {
    const Address address("10.0.11.1");
    Client plain, session_in_it;
    plain.connects(address, 0);
    note_handshake_begin(session_in_it.conn());  // where it runs is learned later
    note_handshake_end(session_in_it.conn(), true);
    move_opening(plain.conn(), session_in_it.conn());
    plain.close();
    session_in_it.conn().connect_thread = current_thread_id();
    session_in_it.send(get);
    session_in_it.close();
    const auto told = done();
    ASSERT_THAT(told, SizeIs(1));
    EXPECT_LE(told[0].opening.connect_end_ns, told[0].opening.tls_start_ns);
    EXPECT_LE(told[0].opening.tls_start_ns, told[0].opening.tls_end_ns);
    EXPECT_EQ(told[0].exchange.start_ns, told[0].opening.connect_start_ns);
}

TEST_F(OpeningTest, AHandshakeThatFailsIsASpan) {
    for (const bool said : {true, false}) {
        Client client;
        client.connects(Address("10.0.12.1"), 0);
        note_handshake_begin(client.conn());
        if (said) note_handshake_end(client.conn(), false);
        client.close();
        const auto told = done();
        ASSERT_THAT(told, SizeIs(1));
        EXPECT_EQ(told[0].protocol(), "connect");
        EXPECT_EQ(told[0].opening.tls_failed, said ? 1u : 0u);
        EXPECT_NE(told[0].opening.connect_end_ns, 0u);
        free_finished(session);
    }
    Client client;
    client.connects(Address("10.0.12.1"), 0);
    note_handshake_begin(client.conn());
    note_handshake_end(client.conn(), true);
    client.close();  // and nothing was asked
    EXPECT_THAT(done(), IsEmpty());
}

TEST_F(OpeningTest, UnsampledThereIsNothing) {
    session.control.sampler = REMORA_SAMPLER_ALWAYS_OFF;
    const Address first("10.0.13.1"), second("10.0.13.2");
    look_up("unsampled.test", {first, second});
    Client(SOCK_NONBLOCK).connects(first, EINPROGRESS).learns(ECONNREFUSED);
    Client client;
    client.connects(second, 0).send(get);
    client.close();
    Client{}.connects(first, ECONNREFUSED);
    EXPECT_THAT(done(), IsEmpty());
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, AlienAddressesAndMisuseAreNoAttempts) {
    Client client;
    for (const int error : {EBADF, ENOTSOCK, EFAULT, EINVAL, EAFNOSUPPORT, EPROTOTYPE})
        client.connects(Address("10.0.14.1"), error);
    TestConnection local(true);
    const sockaddr path{AF_UNIX, "/x"};
    note_connect_returned(local.fd(), &path, sizeof(path), monotonic_now(), ECONNREFUSED);
    EXPECT_THAT(done(), IsEmpty());
    EXPECT_THAT(open(), IsEmpty());
}

TEST_F(OpeningTest, ThreadsThatRaceLoseNothingButEvents) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([t] {
            for (int i = 0; i < 2000; ++i) {
                const Address first("10.0.15.1"), second("10.0.15.2");
                look_up("race.test", {first, second});
                Client a(SOCK_NONBLOCK), b(SOCK_NONBLOCK);
                a.connects(first, EINPROGRESS);
                b.connects(second, i % 3 == 0 ? EINPROGRESS : 0);
                if (i % 2 == 0) a.learns(ECONNREFUSED);
                if ((i + t) % 5 == 0) b.close();
            }
        });
    for (std::thread& thread : threads) thread.join();
    // Whoever was held up counts; slots are either free or told.
    for (const Told& told : done()) EXPECT_EQ(told.protocol(), "connect");
    EXPECT_TRUE(hold_openings());
    release_openings();
}

}  // namespace
}  // namespace remora::shim
