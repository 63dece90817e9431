// SPDX-License-Identifier: Apache-2.0
// A module on OpenSSL, for programs that load it and know nothing of TLS (module_host).
#include <openssl/ssl.h>

#include <string>

namespace {

SSL_CTX* context;

}  // namespace

// Over a connected socket, which stays the caller's. nullptr: the handshake failed.
extern "C" void* module_open(int fd, const char* certificate) {
    if (context == nullptr) context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_load_verify_locations(context, certificate, nullptr) != 1) return nullptr;
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1) return ssl;
    SSL_free(ssl);
    return nullptr;
}

extern "C" int module_write(void* connection, const char* data, int size) {
    return SSL_write(static_cast<SSL*>(connection), data, size);
}

extern "C" int module_read(void* connection, char* data, int size) {
    return SSL_read(static_cast<SSL*>(connection), data, size);
}

extern "C" void module_close(void* connection) {
    SSL_shutdown(static_cast<SSL*>(connection));
    SSL_free(static_cast<SSL*>(connection));
}
