// SPDX-License-Identifier: Apache-2.0
// Our state on real GnuTLS sessions: two ends with queues between them, in one process.
#include "preload/tls/gnutls.h"

#include <gnutls/gnutls.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "preload/test_connection.h"

namespace remora::shim {
namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

// The way from one end to the other.
struct Queue {
    std::string bytes;
    size_t room = ~size_t{0};
};

struct End {
    gnutls_session_t session = nullptr;
    Queue* in = nullptr;
    Queue* out = nullptr;
};

ssize_t push(gnutls_transport_ptr_t pointer, const void* data, size_t size) {
    End& end = *static_cast<End*>(pointer);
    if (end.out->bytes.size() >= end.out->room) {
        gnutls_transport_set_errno(end.session, EAGAIN);
        return -1;
    }
    size = std::min(size, end.out->room - end.out->bytes.size());
    end.out->bytes.append(static_cast<const char*>(data), size);
    return static_cast<ssize_t>(size);
}

ssize_t pull(gnutls_transport_ptr_t pointer, void* data, size_t size) {
    End& end = *static_cast<End*>(pointer);
    if (end.in->bytes.empty()) {
        gnutls_transport_set_errno(end.session, EAGAIN);
        return -1;
    }
    size = std::min(size, end.in->bytes.size());
    memcpy(data, end.in->bytes.data(), size);
    end.in->bytes.erase(0, size);
    return static_cast<ssize_t>(size);
}

class GnuTlsTest : public WithFakeKernel {
protected:
    void SetUp() override {
        library_ = gnutls_of("gnutls_init", __builtin_return_address(0));
        ASSERT_NE(library_, nullptr);
        ASSERT_TRUE(library_->usable);
        gnutls_psk_allocate_server_credentials(&serving_);
        gnutls_psk_set_server_credentials_function(
            serving_, [](gnutls_session_t, const char*, gnutls_datum_t* key) {
                key->data = static_cast<unsigned char*>(gnutls_malloc(4));
                memcpy(key->data, "\x01\x02\x03\x04", 4);
                key->size = 4;
                return 0;
            });
        gnutls_psk_allocate_client_credentials(&calling_);
        const gnutls_datum_t key{reinterpret_cast<unsigned char*>(const_cast<char*>("01020304")),
                                 8};
        gnutls_psk_set_client_credentials(calling_, "me", &key, GNUTLS_PSK_KEY_HEX);
        open(client_, GNUTLS_CLIENT, calling_, &to_client_, &to_server_);
        open(server_, GNUTLS_SERVER, serving_, &to_server_, &to_client_);
    }
    void TearDown() override {
        close(client_);
        close(server_);
        gnutls_psk_free_client_credentials(calling_);
        gnutls_psk_free_server_credentials(serving_);
    }

    // As the wrappers of gnutls_init and gnutls_deinit do.
    void open(End& end, unsigned flags, void* credentials, Queue* in, Queue* out) {
        end.in = in;
        end.out = out;
        gnutls_init(&end.session, flags | GNUTLS_NONBLOCK);
        session_made(*library_, end.session, flags);
        gnutls_priority_set_direct(
            end.session,
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:+AES-128-GCM", nullptr);
        gnutls_credentials_set(end.session, GNUTLS_CRD_PSK, credentials);
        gnutls_transport_set_ptr(end.session, &end);
        gnutls_transport_set_push_function(end.session, push);
        gnutls_transport_set_pull_function(end.session, pull);
        gnutls_transport_set_pull_timeout_function(
            end.session, [](gnutls_transport_ptr_t, unsigned) { return 1; });
    }
    static void close(End& end) {
        if (end.session == nullptr) return;
        session_ends(end.session);
        gnutls_deinit(end.session);
        end.session = nullptr;
    }
    int step(End& end) {
        const int result = gnutls_handshake(end.session);
        EXPECT_FALSE(result < 0 && gnutls_error_is_fatal(result)) << gnutls_strerror(result);
        handshake_step_ends(*library_, *channel_of_session(end.session), end.session, result);
        return result;
    }
    void shake() {
        int client = -1, server = -1;
        // Called once more it would begin another handshake.
        for (int i = 0; i < 50 && (client != 0 || server != 0); ++i) {
            if (client != 0) client = step(client_);
            if (server != 0) server = step(server_);
        }
        ASSERT_EQ(client, 0) << gnutls_strerror(client) << ", server: " << gnutls_strerror(server);
        ASSERT_EQ(server, 0) << gnutls_strerror(server);
    }
    long send(End& end, const char* data, size_t size) {
        TlsChannel& channel = *channel_of_session(end.session);
        if (size == 0) size = channel.frozen.chunk;
        TlsOutgoing out{channel, end.session, reinterpret_cast<const uint8_t*>(data), size,
                        library_};
        describe_gnutls(out);
        out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) -> long {
            return gnutls(o.library).gnutls_record_send(const_cast<void*>(o.session), bytes, count);
        };
        return tls_transmit(out);
    }
    long send(End& end, const std::string& text) { return send(end, text.data(), text.size()); }
    std::string receive(End& end, size_t size = 4096) {
        std::string data(size, '\0');
        TlsIncoming in{*channel_of_session(end.session), end.session,
                       reinterpret_cast<uint8_t*>(data.data()), size, library_};
        describe_gnutls(in);
        in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
            return gnutls(i.library).gnutls_record_recv(const_cast<void*>(i.session), bytes, count);
        };
        const long got = tls_receive(in);
        data.resize(got > 0 ? static_cast<size_t>(got) : 0);
        return data;
    }

    GnuTls* library_ = nullptr;
    gnutls_psk_server_credentials_t serving_ = nullptr;
    gnutls_psk_client_credentials_t calling_ = nullptr;
    Queue to_client_, to_server_;
    End client_, server_;
};

TEST_F(GnuTlsTest, ARequestAndItsAnswerOnBothSides) {
    shake();
    EXPECT_EQ(send(client_, get), static_cast<long>(get.size()));
    const std::string seen = receive(server_);
    EXPECT_EQ(seen.size(), get.size() + 70);
    EXPECT_NE(seen.find("traceparent: 00-"), std::string::npos);
    EXPECT_EQ(send(server_, ok), static_cast<long>(ok.size()));
    EXPECT_EQ(receive(client_), ok);
    const auto records = finished(session);
    ASSERT_EQ(records.size(), 2u);
    for (const remora_exchange& record : records) {
        EXPECT_TRUE(record.marks & REMORA_MARK_TLS);
        EXPECT_EQ(record.tls_version, 0x0303);
        EXPECT_EQ(record.tls_cipher, 0x00a8) << "TLS_PSK_WITH_AES_128_GCM_SHA256";
    }
}

TEST_F(GnuTlsTest, AgainIsAskedForWithTheBytesAndWithout) {
    shake();
    for (const bool with_bytes : {true, false}) {
        to_server_.room = to_server_.bytes.size() + 10;
        EXPECT_EQ(send(client_, get), GNUTLS_E_AGAIN);
        to_server_.room = ~size_t{0};
        EXPECT_EQ(with_bytes ? send(client_, get) : send(client_, nullptr, 0),
                  static_cast<long>(get.size()));
        EXPECT_EQ(receive(server_).size(), get.size() + 70);
    }
}

TEST_F(GnuTlsTest, ASessionIsFollowedFromInitToDeinit) {
    EXPECT_NE(channel_of_session(client_.session), nullptr);
    shake();
    send(client_, get);
    void* address = client_.session;
    close(client_);
    EXPECT_EQ(channel_of_session(address), nullptr);
    EXPECT_EQ(finished(session).size(), 1u);
    int stranger = 0;
    EXPECT_EQ(channel_of_session(&stranger), nullptr);
}

TEST_F(GnuTlsTest, AnAddressThatComesAgainIsAnotherSession) {
    const uint32_t serial = channel_of_session(client_.session)->conn->serial;
    session_made(*library_, client_.session, GNUTLS_CLIENT);
    EXPECT_NE(channel_of_session(client_.session)->conn->serial, serial);
    session_made(*library_, client_.session, GNUTLS_CLIENT | GNUTLS_DATAGRAM);
    EXPECT_EQ(channel_of_session(client_.session), nullptr);
}

TEST_F(GnuTlsTest, ManySessions) {
    std::vector<uint64_t> addresses(5000);
    for (uint64_t& at : addresses) session_made(*library_, &at, GNUTLS_CLIENT);
    for (uint64_t& at : addresses) EXPECT_NE(channel_of_session(&at), nullptr);
    for (uint64_t& at : addresses) session_ends(&at);
    for (uint64_t& at : addresses) EXPECT_EQ(channel_of_session(&at), nullptr);
    EXPECT_EQ(session.lost(REMORA_LOSS_tls_table_full), 0u);
}

}  // namespace
}  // namespace remora::shim
