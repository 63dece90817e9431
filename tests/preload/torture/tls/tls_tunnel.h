// SPDX-License-Identifier: Apache-2.0
// The untraced end of a TLS connection, for a peer that knows nothing of TLS: it talks to plain().
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <thread>

#include "tests/preload/torture/support/random.h"
#include "tests/preload/torture/tls/tls_plan.h"

namespace torture {

// A folder with cert.pem and key.pem, for localhost; empty: openssl(1) could not make one.
std::string make_certificates();
// For both roles.
SSL_CTX* peer_context(const std::string& certificates);

class TlsTunnel {
public:
    // `fd` is connected and stays the caller's. slow: small records, now and then a pause.
    TlsTunnel(int fd, SSL_CTX* context, bool server, const TlsPlan& plan, bool slow, Random random);
    ~TlsTunnel();  // waits until both directions have ended
    TlsTunnel(const TlsTunnel&) = delete;
    TlsTunnel& operator=(const TlsTunnel&) = delete;

    [[nodiscard]] int plain() const { return ends_[0]; }
    // After close_plain(): what went wrong inside TLS; empty: nothing.
    [[nodiscard]] const std::string& problem() const { return problem_; }
    // The peer has done its part; waits for the end of the tunnel.
    void close_plain();

private:
    void pump();
    bool handshake(bool server);
    void read_records();
    void write_records();
    void say_goodbye();
    void complain(const char* what);

    int fd_;
    SSL* ssl_;
    TlsPlan plan_;
    bool slow_;
    bool server_;
    Random random_;
    int ends_[2];
    std::string inward_, outward_;  // decrypted, and to be encrypted
    size_t retry_ = 0;              // of `outward_`, given to SSL_write and not taken yet
    bool records_ended_ = false, plain_ended_ = false, said_goodbye_ = false;
    bool wants_to_write_ = false;
    int key_updates_ = 0;  // GnuTLS minds more than 8 in a second
    std::string problem_;
    std::thread thread_;
};

}  // namespace torture
