// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/tls/tls_tunnel.h"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "tests/preload/torture/support/sockets.h"

namespace torture {

std::string make_certificates() {
    char name[] = "/tmp/remora-certificates-XXXXXX";
    if (mkdtemp(name) == nullptr) fail("mkdtemp");
    const std::string folder = name;
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
        folder + "/key.pem -out " + folder + "/cert.pem 2>" + folder + "/errors";
    return system(command.c_str()) == 0 ? folder : "";
}

SSL_CTX* peer_context(const std::string& certificates) {
    SSL_CTX* const context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_options(context, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    const std::string certificate = certificates + "/cert.pem", key = certificates + "/key.pem";
    if (SSL_CTX_use_certificate_file(context, certificate.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
        fail("the certificate in %s", certificates.c_str());
    return context;
}

TlsTunnel::TlsTunnel(int fd, SSL_CTX* context, bool server, const TlsPlan& plan, bool slow,
                     Random random)
    : fd_(fd), ssl_(SSL_new(context)), plan_(plan), slow_(slow), server_(server), random_(random) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0) fail("socketpair");
    const int version = plan.newest ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_set_min_proto_version(ssl_, version);
    SSL_set_max_proto_version(ssl_, version);
    SSL_set_fd(ssl_, fd);
    set_nonblocking(fd, true);
    set_nonblocking(ends_[1], true);
    thread_ = std::thread([this] { pump(); });
}

TlsTunnel::~TlsTunnel() {
    close_plain();
    SSL_free(ssl_);
}

void TlsTunnel::close_plain() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
    if (thread_.joinable()) thread_.join();
}

void TlsTunnel::complain(const char* what) {
    char text[256];
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    if (problem_.empty()) problem_ = std::string(what) + ": " + text;
    records_ended_ = plain_ended_ = said_goodbye_ = true;
    inward_.clear();
    outward_.clear();
}

bool TlsTunnel::handshake(bool server) {
    for (;;) {
        ERR_clear_error();
        const int result = server ? SSL_accept(ssl_) : SSL_connect(ssl_);
        if (result == 1) return true;
        const int error = SSL_get_error(ssl_, result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            complain("handshake");
            return false;
        }
        pollfd one{fd_, static_cast<short>(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), 0};
        if (poll(&one, 1, patience_ms) == 0) {
            complain("handshake: stalled");
            return false;
        }
    }
}

void TlsTunnel::read_records() {
    std::string buffer(1 + random_.skewed(slow_ ? 3000 : 40'000), '\0');
    ERR_clear_error();
    const int n = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
    if (n > 0) {
        inward_.append(buffer, 0, static_cast<size_t>(n));
        return;
    }
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_WRITE) wants_to_write_ = true;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    records_ended_ = true;
    if (error != SSL_ERROR_ZERO_RETURN) complain("the program ended without a goodbye");
}

void TlsTunnel::write_records() {
    wants_to_write_ = false;
    if (retry_ == 0 && plan_.key_updates && key_updates_ < 3 && random_.chance(3) && ++key_updates_)
        SSL_key_update(
            ssl_, random_.chance(50) ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    if (retry_ == 0)
        retry_ = random_.chance(50) ? outward_.size() : 1 + random_.skewed(outward_.size() - 1);
    ERR_clear_error();
    const int n = SSL_write(ssl_, outward_.data(), static_cast<int>(retry_));
    if (n > 0) {
        outward_.erase(0, static_cast<size_t>(n));
        retry_ = 0;
        return;
    }
    const int error = SSL_get_error(ssl_, n);
    if (error == SSL_ERROR_WANT_WRITE)
        wants_to_write_ = true;
    else if (error != SSL_ERROR_WANT_READ)
        complain("writing records");
}

void TlsTunnel::say_goodbye() {
    for (;;) {
        ERR_clear_error();
        const int result = SSL_shutdown(ssl_);
        if (result >= 0 || SSL_get_error(ssl_, result) != SSL_ERROR_WANT_WRITE) return;
        pollfd one{fd_, POLLOUT, 0};
        if (poll(&one, 1, patience_ms) == 0) return complain("goodbye: stalled");
    }
}

void TlsTunnel::pump() {
    if (!handshake(server_)) shutdown(ends_[1], SHUT_RDWR);
    int& inner = ends_[1];
    while (!said_goodbye_ || !records_ended_ || !inward_.empty()) {
        if (slow_ && random_.chance(10)) poll(nullptr, 0, 1);
        const bool has_records = !records_ended_ && inward_.empty();
        const bool takes_plain = !plain_ended_ && outward_.empty();
        const bool pending = has_records && SSL_pending(ssl_) > 0;
        pollfd both[2] = {{fd_, 0, 0}, {inner, 0, 0}};
        if (has_records) both[0].events |= POLLIN;
        if (wants_to_write_ || !outward_.empty()) both[0].events |= POLLOUT;
        if (takes_plain) both[1].events |= POLLIN;
        if (!inward_.empty()) both[1].events |= POLLOUT;
        if (both[1].events == 0) both[1].fd = -1;  // its end is not news
        if (both[0].events == 0) both[0].fd = -1;
        const int ready = poll(both, 2, pending ? 0 : patience_ms);
        if (ready == 0 && !pending) return complain("stalled");
        if (has_records && (pending || both[0].revents & (POLLIN | POLLHUP | POLLERR)))
            read_records();
        if (!outward_.empty()) write_records();
        if (takes_plain && both[1].revents & (POLLIN | POLLHUP)) {
            std::string buffer(1 + random_.skewed(slow_ ? 3000 : 60'000), '\0');
            const ssize_t n = recv(inner, buffer.data(), buffer.size(), 0);
            if (n > 0) outward_.append(buffer, 0, static_cast<size_t>(n));
            if (n == 0 || (n < 0 && errno != EAGAIN)) plain_ended_ = true;
        }
        if (!inward_.empty()) {
            const ssize_t n = send(inner, inward_.data(), inward_.size(), MSG_NOSIGNAL);
            if (n > 0) inward_.erase(0, static_cast<size_t>(n));
            if (n < 0 && errno != EAGAIN) inward_.clear();  // the peer wants no more
        }
        if (records_ended_ && inward_.empty() && problem_.empty()) shutdown(inner, SHUT_WR);
        if (plain_ended_ && outward_.empty() && !said_goodbye_) {
            said_goodbye_ = true;
            say_goodbye();
        }
    }
    close(inner);
    inner = -1;
}

}  // namespace torture
