// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/carrier.h"

#include <gtest/gtest.h>

#include <string>

#include "preload/test_connection.h"

namespace remora::shim {
namespace {

// The first record of a client, with this random.
std::string hello(char random) {
    return std::string("\x16\x03\x01\x00\xfa\x01\x00\x00\xf6\x03\x03", 11) +
           std::string(hello_random_size, random) + std::string(200, 'x');
}
std::string random_of(char random) { return std::string(hello_random_size, random); }

class CarrierTest : public WithFakeKernel {
protected:
    ~CarrierTest() override { close_channel(channel_); }
    TlsChannel& channel(TlsRole role) {
        close_channel(channel_);
        channel_ = open_channel(role);
        return *channel_;
    }
    const Conn* carrier(TlsRole role, char random) {
        TlsChannel& asking = channel(role);
        learn_carrier(asking, -1, reinterpret_cast<const uint8_t*>(random_of(random).data()), true);
        EXPECT_TRUE(asking.carrier_known);
        return asking.conn->carrier;
    }
    TlsChannel* channel_ = nullptr;
};

TEST_F(CarrierTest, ByTheDescriptor) {
    const TestConnection plain(true);
    Conn& conn = plain.conn();
    conn.connect_ns = 77;
    conn.peer.port = 443;
    TlsChannel& asking = channel(TlsRole::client);
    learn_carrier(asking, plain.fd(), nullptr, false);
    EXPECT_EQ(asking.conn->carrier, &conn);
    EXPECT_EQ(asking.conn->connect_ns, 77u);
    EXPECT_EQ(asking.conn->peer.port, 443);
    EXPECT_TRUE(waits_in_calls(*asking.conn));
    conn.blocking = false;
    EXPECT_FALSE(waits_in_calls(*asking.conn)) << "as its carrier is now";
}

TEST_F(CarrierTest, ByTheRandomOfTheClientHello) {
    const TestConnection client(true), server(false);
    client.send_all(hello('a'));
    kernel.incoming = hello('b');
    server.receive(500);
    EXPECT_TRUE(client.conn().opaque);
    EXPECT_EQ(carrier(TlsRole::client, 'a'), &client.conn());
    EXPECT_EQ(carrier(TlsRole::server, 'b'), &server.conn());
    EXPECT_EQ(carrier(TlsRole::client, 'b'), nullptr) << "the other side's";
    EXPECT_EQ(carrier(TlsRole::client, 'c'), nullptr);
}

TEST_F(CarrierTest, BothEndsInOneProcess) {
    const TestConnection client(true), server(false);
    client.send_all(hello('d'));
    kernel.incoming = hello('d');
    server.receive(500);
    EXPECT_EQ(carrier(TlsRole::client, 'd'), &client.conn());
    EXPECT_EQ(carrier(TlsRole::server, 'd'), &server.conn());
}

TEST_F(CarrierTest, ARepeatedRandomIsNobodys) {
    const TestConnection one(true), two(true);
    one.send_all(hello('e'));
    two.send_all(hello('e'));
    EXPECT_EQ(carrier(TlsRole::client, 'e'), nullptr);
}

TEST_F(CarrierTest, AClosedConnectionCarriesNothing) {
    {
        const TestConnection gone(true);
        gone.send_all(hello('f'));
    }
    EXPECT_EQ(carrier(TlsRole::client, 'f'), nullptr);
    const TestConnection again(true);  // the same object, another life
    EXPECT_EQ(carrier(TlsRole::client, 'f'), nullptr);
    again.send_all(hello('f'));
    EXPECT_EQ(carrier(TlsRole::client, 'f'), &again.conn());
}

TEST_F(CarrierTest, ByWhatMovesInsideTheLibrary) {
    const TestConnection other(true), plain(true);
    TlsChannel& asking = channel(TlsRole::client);
    InsideLibrary inside(this, &asking);
    other.send_all("GET / HTTP/1.1\r\n\r\n");  // a callback that asks somebody else
    plain.send_all(hello('g').substr(0, 5));
    inside.leave();
    learn_carrier(asking, -1, nullptr, true);
    EXPECT_EQ(asking.conn->carrier, &plain.conn());
}

TEST_F(CarrierTest, ByLaterBytesOfAConnectionThatBeganEarlier) {
    const TestConnection plain(true);
    plain.send_all(hello('h').substr(0, 5));
    TlsChannel& asking = channel(TlsRole::client);
    InsideLibrary inside(this, &asking);
    plain.send_all("ciphertext");
    inside.leave();
    learn_carrier(asking, -1, nullptr, true);
    EXPECT_EQ(asking.conn->carrier, &plain.conn());
}

TEST_F(CarrierTest, CutAndOtherFirstBytesAreNoHello) {
    for (const std::string& bytes :
         {hello('i').substr(0, 42), std::string("\x16\x02") + hello('i').substr(2),
          std::string("\x17\x03") + hello('i').substr(2), hello('i').replace(5, 1, "\x02")}) {
        const TestConnection plain(true);
        plain.send_all(bytes);
        EXPECT_EQ(carrier(TlsRole::client, 'i'), nullptr);
    }
}

TEST_F(CarrierTest, NoneIsUnknown) {
    TlsChannel& asking = channel(TlsRole::server);
    learn_carrier(asking, -1, nullptr, false);
    EXPECT_FALSE(asking.carrier_known) << "the handshake may still tell";
    learn_carrier(asking, -1, nullptr, true);
    EXPECT_TRUE(asking.carrier_known);
    EXPECT_FALSE(waits_in_calls(*asking.conn)) << "rule 3 is off";
}

}  // namespace
}  // namespace remora::shim
