// SPDX-License-Identifier: Apache-2.0
// Makes odd calls on OpenSSL in all states and prints what each returned and what it left in errno
// and in the error queue. Run bare and under the shim, it must say the same.
//
//   tls_results_actor CERTIFICATES
//
// Both ends are in one thread, joined by a BIO pair: nothing depends on time.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

SSL_CTX* context;
std::string where;
bool marked = false;  // an error of our own is in the queue before each call

void before() {
    ERR_clear_error();
    if (marked) ERR_put_error(ERR_LIB_USER, 0, 99, "here", 7331);
    errno = 77;
}

void say(const char* call, const SSL* ssl, long result) {
    const int number = errno;
    std::string queue;
    while (const unsigned long error = ERR_get_error()) {
        char text[20];
        snprintf(text, sizeof(text), " %lx", error);
        queue += text;
    }
    printf("%s: %s = %ld, errno %d, queue%s, error %d, want %d, pending %d, shutdown %d\n",
           where.c_str(), call, result, number, queue.c_str(),
           // It looks into the transport, which a fresh object doesn't have.
           SSL_get_rbio(ssl) == nullptr ? -1 : SSL_get_error(ssl, static_cast<int>(result)),
           SSL_want(ssl), SSL_pending(ssl), SSL_get_shutdown(ssl));
}

#define SAY(ssl, call)                               \
    do {                                             \
        before();                                    \
        const long result = static_cast<long>(call); \
        say(#call, ssl, result);                     \
    } while (false)

// A client and a server with `room` bytes between them, each way.
struct Pair {
    SSL* client;
    SSL* server;
    explicit Pair(int version, size_t room = 200'000) {
        client = SSL_new(context);
        server = SSL_new(context);
        for (SSL* ssl : {client, server}) {
            SSL_set_min_proto_version(ssl, version);
            SSL_set_max_proto_version(ssl, version);
        }
        BIO *a = nullptr, *b = nullptr;
        BIO_new_bio_pair(&a, room, &b, room);
        SSL_set_bio(client, a, a);
        SSL_set_bio(server, b, b);
        SSL_set_connect_state(client);
        SSL_set_accept_state(server);
    }
    ~Pair() {
        SSL_free(client);
        SSL_free(server);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    void connect() const {
        for (int i = 0; i < 10; ++i) {
            ERR_clear_error();
            SSL_do_handshake(client);
            SSL_do_handshake(server);
        }
        if (!SSL_is_init_finished(client) || !SSL_is_init_finished(server)) fail("no handshake");
    }
};

char buffer[60'000];
size_t moved = 0;

void reads(SSL* ssl) {
    SAY(ssl, SSL_read(ssl, buffer, 100));
    SAY(ssl, SSL_read(ssl, buffer, 0));
    SAY(ssl, SSL_read(ssl, buffer, -1));
    SAY(ssl, SSL_read(ssl, nullptr, 0));
    SAY(ssl, SSL_read_ex(ssl, buffer, 100, &moved));
    SAY(ssl, SSL_read_ex(ssl, buffer, 0, &moved));
    SAY(ssl, SSL_peek(ssl, buffer, 100));
    SAY(ssl, SSL_peek(ssl, buffer, -1));
    SAY(ssl, SSL_peek_ex(ssl, buffer, 100, &moved));
    SAY(ssl, SSL_read_early_data(ssl, buffer, 100, &moved));
}

void writes(SSL* ssl, const char* data, int size) {
    SAY(ssl, SSL_write(ssl, data, size));
    SAY(ssl, SSL_write(ssl, data, 0));
    SAY(ssl, SSL_write(ssl, data, -1));
    SAY(ssl, SSL_write(ssl, nullptr, 0));
    SAY(ssl, SSL_write_ex(ssl, data, static_cast<size_t>(size), &moved));
    SAY(ssl, SSL_write_ex(ssl, data, 0, &moved));
    SAY(ssl, SSL_write_early_data(ssl, data, static_cast<size_t>(size), &moved));
    SAY(ssl, SSL_sendfile(ssl, 0, 0, 10, 0));
}

void before_a_handshake(int version) {
    Pair pair(version);
    SSL* fresh = SSL_new(context);
    reads(fresh);
    writes(fresh, "text", 4);
    SSL_free(fresh);
    reads(pair.client);  // begins the handshake
    writes(pair.client, "text", 4);
    SAY(pair.server, SSL_shutdown(pair.server));
}

void connected(int version, const std::string& text) {
    const Pair pair(version);
    pair.connect();
    const char* data = text.data();
    const int size = static_cast<int>(text.size());
    reads(pair.client);
    reads(pair.server);
    writes(pair.client, data, size);
    SAY(pair.client, SSL_shutdown(pair.client));
    writes(pair.client, data, size);  // after the goodbye
    reads(pair.client);
    writes(pair.server, data, size);
    SAY(pair.server, SSL_shutdown(pair.server));
    SAY(pair.server, SSL_shutdown(pair.server));
    SAY(pair.client, SSL_clear(pair.client));
}

void read_back(int version, const std::string& text) {
    const Pair pair(version);
    pair.connect();
    SSL *client = pair.client, *server = pair.server;
    SSL_write(client, text.data(), static_cast<int>(text.size()));
    for (const int piece : {1, 3, 10, 100, 20'000}) {
        SAY(server, SSL_peek(server, buffer, piece));
        SAY(server, SSL_read(server, buffer, piece));
        SAY(server, SSL_peek_ex(server, buffer, static_cast<size_t>(piece), &moved));
        SAY(server, SSL_read_ex(server, buffer, static_cast<size_t>(piece), &moved));
        printf("%zu, %02x\n", moved, static_cast<unsigned char>(buffer[0]));
    }
    if (version == TLS1_3_VERSION) {
        SAY(client, SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED));
    } else {
        SAY(client, SSL_renegotiate(client));
    }
    SAY(client, SSL_write(client, text.data(), 10));
    reads(server);
    reads(client);
    reads(server);
    BIO_shutdown_wr(SSL_get_wbio(client));  // an end without a goodbye
    reads(server);
    writes(server, text.data(), 10);
}

// A transport that is full, and retries right and wrong.
void full(int version, const std::string& text, long modes) {
    const Pair pair(version, 3000);
    pair.connect();
    SSL* client = pair.client;
    SSL_clear_mode(client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_mode(client, modes);
    std::string longer = text + text, copy = longer;
    const int size = static_cast<int>(text.size());
    SAY(client, SSL_write(client, longer.data(), size));
    SAY(client, SSL_write(client, longer.data(), size + 5));
    reads(client);
    int taken = 0;
    for (int turn = 0; turn < 200 && taken == 0; ++turn) {
        while (SSL_read(pair.server, buffer, sizeof(buffer)) > 0) {
        }
        ERR_clear_error();
        const int n = SSL_write(client, longer.data(), size + 5);
        if (n > 0) taken = n;
    }
    // With partial writes any part of it will do.
    const bool partial = (modes & SSL_MODE_ENABLE_PARTIAL_WRITE) != 0;
    printf("%s: taken %d\n", where.c_str(), partial ? taken > 0 : taken);
    // From here on as it may not be done: OpenSSL is broken after that, in its own way.
    SAY(client, SSL_write(client, longer.data(), size));
    SAY(client, SSL_write(client, longer.data(), size));
    SAY(client, SSL_write(client, longer.data(), size - 1));
    SAY(client, SSL_write(client, longer.data(), size + 5));
    SAY(client, SSL_write(client, copy.data(), size));
    SAY(client, SSL_write_ex(client, copy.data(), static_cast<size_t>(size), &moved));
    SAY(client, SSL_write(client, "next", 4));
}

void nonsense() {
    for (const char* text :
         {"GET / HTTP/1.0\r\n\r\n", "nonsense, and more of it", "\x16\x03\x01"}) {
        Pair pair(TLS1_3_VERSION);
        BIO_write(SSL_get_wbio(pair.client), text, static_cast<int>(std::string(text).size()));
        BIO_shutdown_wr(SSL_get_wbio(pair.client));
        reads(pair.server);
        SAY(pair.server, SSL_accept(pair.server));
        writes(pair.server, "text", 4);
        SAY(pair.server, SSL_shutdown(pair.server));
    }
}

void early_data(const std::string& text) {
    SSL_SESSION* session = nullptr;
    {
        const Pair first(TLS1_3_VERSION);
        first.connect();
        SSL_write(first.server, "x", 1);
        SSL_read(first.client, buffer, sizeof(buffer));
        session = SSL_get1_session(first.client);
        SSL_shutdown(first.client);  // without a goodbye the session could not be used again
        SSL_shutdown(first.server);
    }
    const Pair second(TLS1_3_VERSION);
    SSL_set_session(second.client, session);
    SSL_SESSION_free(session);
    SSL *client = second.client, *server = second.server;
    SAY(client, SSL_write_early_data(client, text.data(), text.size(), &moved));
    printf("%zu\n", moved);
    SAY(server, SSL_read_early_data(server, buffer, 10, &moved));
    SAY(server, SSL_read_early_data(server, buffer, sizeof(buffer), &moved));
    SAY(client, SSL_connect(client));
    SAY(server, SSL_read_early_data(server, buffer, sizeof(buffer), &moved));
    SAY(server, SSL_accept(server));
    SAY(client, SSL_write(client, "after", 5));
    SAY(server, SSL_read(server, buffer, 100));
}

void all(int version, const std::string& text) {
    before_a_handshake(version);
    connected(version, text);
    for (const long modes :
         {0L, static_cast<long>(SSL_MODE_ENABLE_PARTIAL_WRITE),
          static_cast<long>(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER),
          static_cast<long>(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)})
        full(version, text, modes);
}

}  // namespace
}  // namespace torture

int main(int count, char** arguments) {
    using namespace torture;
    if (count != 2) fail("usage: tls_results_actor CERTIFICATES");
    const std::string folder = arguments[1];
    context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_options(context, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_CTX_set_max_early_data(context, 16'384);
    SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>("torture"), 7);
    if (SSL_CTX_use_certificate_file(context, (folder + "/cert.pem").c_str(), SSL_FILETYPE_PEM) !=
            1 ||
        SSL_CTX_use_PrivateKey_file(context, (folder + "/key.pem").c_str(), SSL_FILETYPE_PEM) != 1)
        fail("the certificate in %s", folder.c_str());
    std::string binary(10'000, '\0'), head = "GET /x HTTP/1.1\r\nHost: box\r\n";
    for (size_t i = 0; i < binary.size(); ++i) binary[i] = static_cast<char>(i * 7 + 1);
    while (head.size() < 9998) head += "X-Filler: 0123456789\r\n";
    head.resize(9998);
    head.replace(9994, 4, "zz\r\n");
    head += "\r\n";
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const bool with_marker : {false, true}) {
            marked = with_marker;
            const std::string state = (version == TLS1_2_VERSION ? "1.2" : "1.3") +
                                      std::string(marked ? ", an error before" : "");
            where = state + ", no HTTP";
            all(version, binary);
            read_back(version, binary);
            // What is read of HTTP may be longer than what was sent; how it is sent may not differ.
            where = state + ", HTTP";
            all(version, head);
        }
    }
    marked = false;
    where = "nonsense";
    nonsense();
    where = "early data";
    early_data(binary.substr(0, 5000));
    return 0;
}
