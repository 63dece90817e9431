// SPDX-License-Identifier: Apache-2.0
// Our state on real SSLs: two ends over memory BIOs, in one process.
#include "preload/tls/openssl.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>

#include "preload/test_connection.h"
#include "preload/tls/carrier.h"

namespace remora::shim {
namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
};
using Context = std::unique_ptr<SSL_CTX, Free>;
using Session = std::unique_ptr<SSL, Free>;

Context server_context() {
    const std::unique_ptr<EVP_PKEY, Free> key(EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, Free> certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key.get());
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    Context context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
    SSL_CTX_set_alpn_select_cb(
        context.get(),
        [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned,
           void*) {
            *out = in + 1;
            *size = in[0];
            return SSL_TLSEXT_ERR_OK;
        },
        nullptr);
    return context;
}

SSL_CTX* serving() {
    static const Context context = server_context();
    return context.get();
}
SSL_CTX* calling() {
    static const Context context(SSL_CTX_new(TLS_client_method()));
    return context.get();
}

// A client and a server; `room`: bytes that the pipe between them holds.
struct Pair {
    explicit Pair(size_t room = 65536) : client(SSL_new(calling())), server(SSL_new(serving())) {
        BIO *left = nullptr, *right = nullptr;
        BIO_new_bio_pair(&left, room, &right, room);
        SSL_set_bio(client.get(), left, left);
        SSL_set_bio(server.get(), right, right);
        SSL_set_connect_state(client.get());
        SSL_set_accept_state(server.get());
    }
    void shake() const {
        for (int i = 0; i < 50; ++i)
            if ((SSL_do_handshake(client.get()) == 1) & (SSL_do_handshake(server.get()) == 1))
                return;
        FAIL() << "no handshake";
    }
    Session client, server;
};

OpenSsl& library_of(SSL* ssl) {
    OpenSsl* library = openssl_of(ssl, "SSL_read", __builtin_return_address(0));
    EXPECT_NE(library, nullptr);
    return *library;
}

// As the wrapper of SSL_write does.
long send(SSL* ssl, const char* text, size_t size) {
    OpenSsl& library = library_of(ssl);
    TlsOutgoing out{*channel_of(library, ssl), ssl, reinterpret_cast<const uint8_t*>(text), size,
                    &library};
    describe(out);
    out.original = [](const TlsOutgoing& o, const void* data, size_t count) -> long {
        return openssl(o.library).SSL_write(const_cast<void*>(o.session), data,
                                            static_cast<int>(count));
    };
    return tls_transmit(out);
}

long send(SSL* ssl, const std::string& text) { return send(ssl, text.data(), text.size()); }

std::string receive(SSL* ssl, size_t size = 4096) {
    OpenSsl& library = library_of(ssl);
    std::string data(size, '\0');
    TlsIncoming in{*channel_of(library, ssl), ssl, reinterpret_cast<uint8_t*>(data.data()), size,
                   &library};
    describe(in);
    in.original = [](const TlsIncoming& i, uint8_t* bytes, size_t count) -> long {
        return openssl(i.library).SSL_read(const_cast<void*>(i.session), bytes,
                                           static_cast<int>(count));
    };
    const long got = tls_receive(in);
    data.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return data;
}

class OpenSslTest : public WithFakeKernel {
protected:
    void TearDown() override { ERR_clear_error(); }
};

TEST_F(OpenSslTest, TheLibraryIsFoundAndKnowsItsOwn) {
    const Pair pair;
    OpenSsl& library = library_of(pair.client.get());
    EXPECT_TRUE(library.usable);
    EXPECT_TRUE(library.made(pair.client.get()));
    EXPECT_EQ(reinterpret_cast<void*>(library.SSL_get_ex_data),
              reinterpret_cast<void*>(&::SSL_get_ex_data));
    int other[8] = {};
    EXPECT_FALSE(library.made(other));
    EXPECT_EQ(&library_of(pair.server.get()), &library);
}

TEST_F(OpenSslTest, ARequestAndItsAnswerOnBothSides) {
    const Pair pair;
    pair.shake();
    EXPECT_EQ(send(pair.client.get(), get), static_cast<long>(get.size()));
    const std::string seen = receive(pair.server.get());
    const size_t line = seen.find("traceparent: 00-");
    ASSERT_NE(line, std::string::npos);
    EXPECT_EQ(seen.substr(0, line) + seen.substr(line + 70), get);
    EXPECT_EQ(send(pair.server.get(), ok), static_cast<long>(ok.size()));
    EXPECT_EQ(receive(pair.client.get()), ok);
    const auto records = finished(session);
    ASSERT_EQ(records.size(), 2u);
    for (const remora_exchange& record : records) {
        EXPECT_TRUE(record.marks & REMORA_MARK_TLS);
        EXPECT_EQ(record.tls_version, SSL_version(pair.client.get()));
        EXPECT_EQ(record.tls_cipher,
                  SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(pair.client.get())));
        EXPECT_EQ(record.tls_resumed, 0);
        EXPECT_EQ(record.end, REMORA_END_COMPLETE);
    }
    EXPECT_NE(records[0].role, records[1].role);
    // The program was handed a traceparent that names the server's span, below the client's.
    const remora_exchange& server = records[records[0].role == REMORA_ROLE_SERVER ? 0 : 1];
    const remora_exchange& client = records[records[0].role == REMORA_ROLE_SERVER ? 1 : 0];
    EXPECT_EQ(memcmp(server.parent_id, client.span_id, 8), 0);
}

TEST_F(OpenSslTest, TheHandshakeMayBePartOfTheFirstCalls) {
    const Pair pair;
    std::string seen;
    for (int i = 0; i < 20 && seen.empty(); ++i) {
        const long told = i < 10 || seen.empty() ? send(pair.client.get(), get) : 0;
        if (told > 0) {
            seen = receive(pair.server.get());
            break;
        }
        ASSERT_EQ(SSL_get_error(pair.client.get(), static_cast<int>(told)), SSL_ERROR_WANT_READ);
        receive(pair.server.get());
    }
    EXPECT_NE(seen.find("traceparent: 00-"), std::string::npos) << seen;
    EXPECT_EQ(seen.size(), get.size() + 70);
    SSL_shutdown(pair.client.get());
}

TEST_F(OpenSslTest, WantWriteIsRepeatedUntilAllIsOut) {
    const Pair pair(1000);
    for (int i = 0; i < 200 && !(SSL_is_init_finished(pair.client.get()) &&
                                 SSL_is_init_finished(pair.server.get()));
         ++i) {
        SSL_do_handshake(pair.client.get());
        SSL_do_handshake(pair.server.get());
    }
    const std::string post =
        "POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + std::string(50'000, 'b');
    std::string seen;
    int wants = 0;
    for (long told = -1; told < 0;) {
        told = send(pair.client.get(), post);
        if (told < 0) {
            ++wants;
            ASSERT_EQ(SSL_get_error(pair.client.get(), static_cast<int>(told)),
                      SSL_ERROR_WANT_WRITE);
        } else {
            EXPECT_EQ(told, static_cast<long>(post.size()));
        }
        for (std::string part; !(part = receive(pair.server.get())).empty();) seen += part;
    }
    EXPECT_GT(wants, 10);
    const size_t line = seen.find("traceparent: 00-");
    ASSERT_NE(line, std::string::npos);
    EXPECT_EQ(seen.erase(line, 70), post);
}

// Without partial writes the program is told of all that it asked for in the end, or of nothing;
// also where the transport is full just behind what it asked for first.
TEST_F(OpenSslTest, ALongerRepetitionIsToldAsAWhole) {
    for (size_t room = 1000; room < 1060; ++room) {
        for (const bool http : {false, true}) {
            const Pair pair(room);
            for (int i = 0; i < 40; ++i) {
                SSL_do_handshake(pair.client.get());
                SSL_do_handshake(pair.server.get());
            }
            std::string text(10005, 'x');
            if (http) text = "GET / HTTP/1.1\r\nX: " + std::string(9977, 'x') + "\r\n\r\nGET /";
            text.resize(10005);
            ASSERT_EQ(send(pair.client.get(), text.data(), 10000), -1);
            ASSERT_EQ(send(pair.client.get(), text.data(), 10005), -1);
            EXPECT_EQ(receive(pair.client.get()), "");
            long told = -1;
            for (int i = 0; i < 100 && told < 0; ++i) {
                receive(pair.server.get());
                told = send(pair.client.get(), text.data(), 10005);
            }
            ASSERT_EQ(told, 10005) << room;
        }
    }
}

std::string without_lines(std::string text, size_t& lines) {
    for (size_t at = 0; (at = text.find("traceparent: 00-", at)) != std::string::npos; ++lines)
        text.erase(at, 70);
    return text;
}

std::string post(size_t body, size_t padding = 0) {
    return "POST / HTTP/1.1\r\nX: " + std::string(padding, 'x') +
           "\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n" + std::string(body, 'b');
}

TEST_F(OpenSslTest, AHeadThatFillsTheBufferWithItsBody) {
    const Pair pair;
    pair.shake();
    const std::string text = post(5000);
    ASSERT_EQ(SSL_write(pair.client.get(), text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
    std::string seen = receive(pair.server.get(), 1024);
    EXPECT_EQ(seen.size(), 1024u) << "a short read says that there is no more";
    EXPECT_NE(seen.find("traceparent: 00-"), std::string::npos);
    while (seen.size() < text.size() + 70) {
        const std::string part = receive(pair.server.get(), 1024);
        ASSERT_FALSE(part.empty());
        seen += part;
    }
    size_t lines = 0;
    EXPECT_EQ(without_lines(seen, lines), text);
    EXPECT_EQ(lines, 1u);
    EXPECT_EQ(SSL_pending(pair.server.get()), 0);
}

TEST_F(OpenSslTest, ReadsOfAnySize) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int round = 0; round < 30; ++round) {
        const Pair pair;
        pair.shake();
        std::string stream, seen;
        for (unsigned i = 0; i < 8; ++i) {
            const std::string text = post(random() % 3000, random() % 1500);
            stream += text;
            for (size_t at = 0; at < text.size();) {
                const size_t part = std::min<size_t>(1 + random() % 2000, text.size() - at);
                SSL_write(pair.client.get(), text.data() + at, static_cast<int>(part));
                at += part;
            }
        }
        size_t lines = 0;
        while (without_lines(seen, lines = 0).size() < stream.size()) {
            const size_t size = 1 + random() % (random() % 2 ? 4000 : 300);
            const std::string part = receive(pair.server.get(), size);
            ASSERT_FALSE(part.empty());
            if (part.size() < size) {
                ASSERT_EQ(SSL_pending(pair.server.get()), 0);
            }
            seen += part;
        }
        ASSERT_EQ(without_lines(seen, lines = 0), stream);
        free_finished(session);
    }
}

TEST_F(OpenSslTest, TheErrorQueueIsTheProgramsAlone) {
    const Pair pair;
    pair.shake();  // which clears the queue itself, as does reading the tickets behind it
    char byte;
    SSL_read(pair.client.get(), &byte, 1);
    ERR_raise_data(ERR_LIB_USER, 17, "kept");
    ERR_set_mark();
    ERR_raise(ERR_LIB_USER, 18);
    const unsigned long first = ERR_peek_error(), last = ERR_peek_last_error();
    send(pair.client.get(), get);
    receive(pair.server.get());
    receive(pair.server.get());  // wants more
    send(pair.server.get(), ok);
    receive(pair.client.get());
    forget_channel(library_of(pair.client.get()), pair.client.get());
    EXPECT_EQ(ERR_peek_error(), first);
    EXPECT_EQ(ERR_peek_last_error(), last);
    ERR_pop_to_mark();
    EXPECT_EQ(ERR_peek_last_error(), first);
}

TEST_F(OpenSslTest, AnErrorOfACallStandsInTheQueueAsItWould) {
    const Pair pair;
    pair.shake();
    BIO_write(SSL_get_wbio(pair.client.get()), "this is no record of TLS", 24);
    EXPECT_EQ(receive(pair.server.get()), "");
    const unsigned long ours = ERR_get_error();
    EXPECT_NE(ours, 0u);
    ERR_clear_error();
    const Pair bare;
    bare.shake();
    BIO_write(SSL_get_wbio(bare.client.get()), "this is no record of TLS", 24);
    char data[100];
    EXPECT_EQ(SSL_read(bare.server.get(), data, sizeof(data)), -1);
    EXPECT_EQ(ERR_get_error(), ours);
}

TEST_F(OpenSslTest, FreedWithARequestOpen) {
    {
        const Pair pair;
        pair.shake();
        send(pair.client.get(), get);
    }
    ASSERT_EQ(finished(session).size(), 1u);
    EXPECT_EQ(finished(session)[0].end, REMORA_END_LOCAL);
}

TEST_F(OpenSslTest, ACopyIsASessionOfItsOwn) {
    const Pair pair;
    OpenSsl& library = library_of(pair.client.get());
    TlsChannel* channel = channel_of(library, pair.client.get());
    ASSERT_NE(channel, nullptr);
    EXPECT_EQ(channel_of(library, pair.client.get()), channel);
    const Session copy(SSL_dup(pair.client.get()));
    TlsChannel* its = channel_of(library, copy.get());
    ASSERT_NE(its, nullptr);
    // Before the handshake SSL_dup makes a copy, after it another reference.
    EXPECT_NE(its, channel);
}

TEST_F(OpenSslTest, ClearedItBeginsAnew) {
    const Pair pair;
    pair.shake();
    send(pair.client.get(), get);
    OpenSsl& library = library_of(pair.client.get());
    const uint32_t serial = channel_of(library, pair.client.get())->conn->serial;
    ASSERT_EQ(SSL_clear(pair.client.get()), 1);
    forget_channel(library, pair.client.get());
    EXPECT_EQ(finished(session).size(), 1u);
    EXPECT_NE(channel_of(library, pair.client.get())->conn->serial, serial);
}

TEST_F(OpenSslTest, DatagramsAreNotFollowed) {
    const Context context(SSL_CTX_new(DTLS_client_method()));
    const Session ssl(SSL_new(context.get()));
    SSL_set_connect_state(ssl.get());
    EXPECT_EQ(channel_of(library_of(ssl.get()), ssl.get()), nullptr);
}

TEST_F(OpenSslTest, AlpnIsToldAndHttp2LeftAlone) {
    const std::pair<const char*, size_t> cases[] = {{"\x08http/1.1", 1}, {"\x02h2", 0}};
    for (const auto& [alpn, lines] : cases) {
        const Pair pair;
        SSL_set_alpn_protos(pair.client.get(), reinterpret_cast<const unsigned char*>(alpn),
                            static_cast<unsigned>(strlen(alpn)));
        pair.shake();
        send(pair.client.get(), get);
        EXPECT_EQ(receive(pair.server.get()).size(), get.size() + 70 * lines);
        TlsChannel* channel = channel_of(library_of(pair.client.get()), pair.client.get());
        EXPECT_STREQ(channel->conn->tls.alpn, alpn + 1);
    }
}

TEST_F(OpenSslTest, WithoutASessionOfOursNothingIsFollowed) {
    session_storage.active = false;
    const Pair pair;
    EXPECT_EQ(channel_of(library_of(pair.client.get()), pair.client.get()), nullptr);
    session_storage.active = true;
}

}  // namespace
}  // namespace remora::shim
