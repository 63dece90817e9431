// SPDX-License-Identifier: Apache-2.0
#include "preload/conn.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/mman.h>

#include <thread>
#include <vector>

#include "preload/descriptors.h"
#include "preload/stream.h"
#include "preload/test_connection.h"

namespace remora::shim {
namespace {

class ConnTest : public WithFakeKernel {};

const std::string get = "GET / HTTP/1.1\r\n\r\n";

TEST_F(ConnTest, OnlyStreamSocketsAreConnections) {
    const int file = ::memfd_create("f", 0);
    int pipe_ends[2], datagrams[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    for (const int fd : {file, pipe_ends[0], datagrams[0], -1, 1'000'000'000}) {
        EXPECT_EQ(conn_of(fd), nullptr);
        EXPECT_EQ(known_conn(fd), nullptr);
    }
    for (const int fd : {file, pipe_ends[0], pipe_ends[1], datagrams[0], datagrams[1]}) {
        note_closing(fd);
        ::close(fd);
    }
}

TEST_F(ConnTest, AnUnknownStreamSocketIsTakenIn) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    EXPECT_EQ(known_conn(ends[0]), nullptr);
    const Conn* conn = conn_of(ends[0]);
    ASSERT_NE(conn, nullptr);
    EXPECT_EQ(known_conn(ends[0]), conn);
    EXPECT_FALSE(conn->blocking);
    EXPECT_FALSE(conn->born_seen);
    note_closing(ends[0]);
    EXPECT_EQ(known_conn(ends[0]), nullptr);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(ConnTest, CopiesShareOneStateUntilTheLastIsClosed) {
    TestConnection connection(true);
    connection.send_all(get);
    Conn* conn = known_conn(connection.fd());
    const uint32_t generation = conn->generation;
    note_duplicated(connection.fd(), 900);
    note_duplicated(connection.fd(), 70'001);
    EXPECT_EQ(known_conn(900), conn);
    EXPECT_EQ(known_conn(70'001), conn);
    connection.close();
    note_closing(900);
    EXPECT_TRUE(finished(session).empty());
    EXPECT_EQ(conn->generation, generation);
    note_closing(70'001);
    EXPECT_EQ(finished(session).size(), 1u);
    EXPECT_NE(conn->generation, generation);
}

TEST_F(ConnTest, ACopyOntoAConnectionEndsIt) {
    TestConnection first(true), second(true);
    first.send_all(get);
    note_duplicated(second.fd(), first.fd());
    EXPECT_EQ(known_conn(first.fd()), known_conn(second.fd()));
    EXPECT_EQ(finished(session).size(), 1u);
}

TEST_F(ConnTest, ARangeIsClosedAsAWhole) {
    TestConnection low(true), high(true);
    note_duplicated(low.fd(), 500);
    note_duplicated(high.fd(), 66'000);
    note_duplicated(high.fd(), 200'000);
    note_closing_range(400, 100'000);
    EXPECT_EQ(known_conn(500), nullptr);
    EXPECT_EQ(known_conn(66'000), nullptr);
    EXPECT_NE(known_conn(200'000), nullptr);
    EXPECT_NE(known_conn(low.fd()), nullptr);
    note_closing_range(0, ~0u);
    EXPECT_EQ(known_conn(200'000), nullptr);
    EXPECT_EQ(known_conn(low.fd()), nullptr);
}

TEST_F(ConnTest, ASecondOneInsideMakesItOpaque) {
    TestConnection connection(true);
    Conn& conn = connection.conn();
    Direction& direction = conn.directions[REMORA_DIRECTION_SENT];
    ASSERT_TRUE(enter(conn, direction));
    EXPECT_TRUE(enter(conn, conn.directions[REMORA_DIRECTION_RECEIVED])) << "the other one is free";
    leave(conn, conn.directions[REMORA_DIRECTION_RECEIVED]);
    std::thread([&] { EXPECT_FALSE(enter(conn, direction)); }).join();
    EXPECT_TRUE(conn.opaque);
    leave(conn, direction);
    EXPECT_FALSE(enter(conn, direction));
    EXPECT_EQ(session.lost(REMORA_LOSS_concurrent_use), 1u);
    connection.send_all(get);
    EXPECT_EQ(kernel.wire, get);
}

TEST_F(ConnTest, AnOwnerIsNotRobbedByAClose) {
    TestConnection connection(true);
    connection.send_all(get);
    Conn& conn = connection.conn();
    Direction& direction = conn.directions[REMORA_DIRECTION_RECEIVED];
    ASSERT_TRUE(enter(conn, direction));
    const uint32_t generation = conn.generation;
    connection.close();
    EXPECT_EQ(conn.generation, generation) << "its owner is still inside";
    EXPECT_TRUE(finished(session).empty());
    leave(conn, direction);
    EXPECT_NE(conn.generation, generation);
    const auto done = finished(session);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].end, REMORA_END_LOCAL);
}

TEST_F(ConnTest, WhatCanNotBeFollowedIsNoFailure) {
    TestConnection connection(true);
    connection.send_all(get);
    connection.conn().opaque = true;
    connection.close();
    const auto done = finished(session);
    ASSERT_EQ(done.size(), 1u);
    EXPECT_EQ(done[0].end, REMORA_END_UNFOLLOWED);
}

TEST_F(ConnTest, AFailedConnectLeavesNothing) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    note_socket(fd, AF_INET, SOCK_STREAM);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    note_connecting(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address), 100);
    EXPECT_EQ(known_conn(fd)->connect_ns, 100u);
    note_connect_failed(fd);
    note_connecting(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address), 200);
    EXPECT_EQ(known_conn(fd)->connect_ns, 200u);
    note_connecting(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address), 300);
    EXPECT_EQ(known_conn(fd)->connect_ns, 200u) << "asking for the outcome begins nothing";
    note_closing(fd);
    ::close(fd);
}

TEST_F(ConnTest, AnotherSocketUnderTheNumberIsNoticed) {
    TestConnection connection(true);
    connection.send_all("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
    int other[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    ASSERT_EQ(::dup2(other[0], connection.fd()), connection.fd());
    kernel.wire.clear();
    const std::string text = std::string(100, 'x') + get;
    connection.send_all(text);
    EXPECT_EQ(kernel.wire, text) << "bytes of another socket's stream were changed";
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_identity), 1u);
    ::close(other[0]);
    ::close(other[1]);
}

// Readers look the connection up while it is closed and opened: no fault, nothing left over.
TEST_F(ConnTest, LookupsDuringCloseAreSafe) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i)
        readers.emplace_back([&] {
            while (!stop)
                if (Conn* conn = known_conn(800)) {
                    Direction& direction = conn->directions[REMORA_DIRECTION_RECEIVED];
                    if (enter(*conn, direction)) leave(*conn, direction);
                }
        });
    for (int i = 0; i < 20'000; ++i) {
        note_accepted(800, 0, nullptr, 0);
        note_closing(800);
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(known_conn(800), nullptr);
}

}  // namespace
}  // namespace remora::shim
