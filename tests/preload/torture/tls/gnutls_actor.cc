// SPDX-License-Identifier: Apache-2.0
// The end on GnuTLS: over a descriptor or functions of its own, corked or not, retries as they are
// allowed (the same bytes again, or none).
#include <gnutls/gnutls.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/tls/secure_end.h"

namespace torture {
namespace {

constexpr unsigned char guard = 0xa5;
gnutls_certificate_credentials_t credentials;

class GnutlsEnd : public SecureEnd {
public:
    GnutlsEnd(int fd, const EndOptions& options, Random random)
        : fd_(fd), options_(options), plan_(options_.plan), random_(random) {
        set_nonblocking(fd_, options.waiting != Waiting::blocking);
    }
    ~GnutlsEnd() override {
        if (session_ == nullptr) return;
        if (!said_goodbye_) close_write();
        gnutls_deinit(session_);
    }
    GnutlsEnd(const GnutlsEnd&) = delete;
    GnutlsEnd& operator=(const GnutlsEnd&) = delete;

    void handshake(bool server) override {
        unsigned flags = server ? GNUTLS_SERVER : GNUTLS_CLIENT;
        if (options_.waiting != Waiting::blocking) flags |= GNUTLS_NONBLOCK;
        gnutls_init(&session_, flags);
        gnutls_priority_set_direct(
            session_,
            plan_.newest ? "NORMAL:-VERS-ALL:+VERS-TLS1.3" : "NORMAL:-VERS-ALL:+VERS-TLS1.2",
            nullptr);
        gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials);
        if (plan_.transport == Transport::socket) {
            gnutls_transport_set_int(session_, fd_);
        } else {
            gnutls_transport_set_ptr(session_, this);
            gnutls_transport_set_push_function(session_, push);
            gnutls_transport_set_pull_function(session_, pull);
        }
        for (int result = 0; (result = gnutls_handshake(session_)) != GNUTLS_E_SUCCESS;) {
            if (gnutls_error_is_fatal(result)) fail_of("handshake", result);
            if (result == GNUTLS_E_AGAIN) wait();
        }
    }

    void send(const std::string& bytes) override {
        for (size_t at = 0; at < bytes.size();) {
            const size_t most = std::min(options_.max_write, bytes.size() - at);
            const size_t size = random_.chance(50) ? most : 1 + random_.skewed(most - 1);
            if (plan_.corks && random_.chance(20))
                at += write_corked(bytes.data() + at, size);
            else
                at += write_piece(bytes.data() + at, size);
            if (plan_.key_updates && random_.chance(5)) update_keys();
        }
    }

    bool receive(std::string& into) override {
        for (;;) {
            const size_t size = 1 + random_.skewed(plan_.max_piece - 1);
            std::string buffer(size + 64, static_cast<char>(guard));
            unsigned char sequence[8];
            const ssize_t n = plan_.extended_calls
                                  ? gnutls_record_recv_seq(session_, buffer.data(), size, sequence)
                                  : gnutls_record_recv(session_, buffer.data(), size);
            for (size_t i = size; i < buffer.size(); ++i)
                if (static_cast<unsigned char>(buffer[i]) != guard)
                    fail("connection %u: a read of %zu wrote beyond", options_.number, size);
            if (n > static_cast<ssize_t>(size))
                fail("connection %u: a read of %zu brought %zd", options_.number, size, n);
            if (n > 0) {
                into.append(buffer, 0, static_cast<size_t>(n));
                return true;
            }
            if (n == 0) return false;
            if (gnutls_error_is_fatal(static_cast<int>(n))) {
                fprintf(stderr, "connection %u: a read: %s\n", options_.number,
                        gnutls_strerror(static_cast<int>(n)));
                return false;  // the caller fails, or may not care
            }
            if (n == GNUTLS_E_AGAIN) wait();
        }
    }

    void close_write() override {
        said_goodbye_ = true;
        for (int result = 0; (result = gnutls_bye(session_, GNUTLS_SHUT_WR)) != GNUTLS_E_SUCCESS;) {
            if (gnutls_error_is_fatal(result)) return;
            if (result == GNUTLS_E_AGAIN) wait();
        }
    }

    void quiet() override {
        if (plan_.key_updates && random_.chance(30)) update_keys();
    }

private:
    [[noreturn]] void fail_of(const char* what, ssize_t result) const {
        fail("connection %u: %s: %s", options_.number, what,
             gnutls_strerror(static_cast<int>(result)));
    }

    void update_keys() {
        if (++key_updates_ > 3) return;  // each may be answered by one, and the peer makes its own
        const unsigned flags = random_.chance(50) ? GNUTLS_KU_PEER : 0;
        for (int result = 0; (result = gnutls_session_key_update(session_, flags)) < 0;) {
            if (gnutls_error_is_fatal(result)) fail_of("key update", result);
            if (result == GNUTLS_E_AGAIN) wait();
        }
    }

    size_t write_piece(const char* data, size_t size) {
        const bool by_nothing =
            plan_.resumes_by_nothing && random_.chance(50);  // how a retry says what it continues
        const void* from = data;
        size_t count = size;
        for (;;) {
            const ssize_t n = plan_.extended_calls && from != nullptr
                                  ? gnutls_record_send2(session_, from, count, 0, 0)
                                  : gnutls_record_send(session_, from, count);
            if (n > static_cast<ssize_t>(size) || n == 0)
                fail("connection %u: a write of %zu took %zd", options_.number, size, n);
            if (n > 0) return static_cast<size_t>(n);
            if (gnutls_error_is_fatal(static_cast<int>(n))) fail_of("a write", n);
            if (n == GNUTLS_E_AGAIN) wait();
            if (by_nothing) from = nullptr, count = 0;
        }
    }

    size_t write_corked(const char* data, size_t size) {
        gnutls_record_cork(session_);
        size_t taken = 0;
        for (int pieces = 0; pieces < 4 && taken < size; ++pieces) {
            const size_t piece = 1 + random_.skewed(std::min<size_t>(size - taken, 5000) - 1);
            const ssize_t n = gnutls_record_send(session_, data + taken, piece);
            if (n != static_cast<ssize_t>(piece)) fail_of("a corked write", n);
            taken += piece;
        }
        for (int n = 0; (n = gnutls_record_uncork(session_, 0)) < 0;) {
            if (gnutls_error_is_fatal(n)) fail_of("uncork", n);
            if (n == GNUTLS_E_AGAIN) wait();
        }
        return taken;
    }

    void wait() {
        await(fd_, gnutls_record_get_direction(session_) == 1 ? POLLOUT : POLLIN,
              "go on inside TLS");
    }

    static ssize_t push(gnutls_transport_ptr_t self, const void* data, size_t size) {
        auto& end = *static_cast<GnutlsEnd*>(self);
        const ssize_t n = ::send(end.fd_, data, size, MSG_NOSIGNAL);
        if (n < 0) gnutls_transport_set_errno(end.session_, errno);
        return n;
    }
    static ssize_t pull(gnutls_transport_ptr_t self, void* data, size_t size) {
        auto& end = *static_cast<GnutlsEnd*>(self);
        const ssize_t n = recv(end.fd_, data, size, 0);
        if (n < 0) gnutls_transport_set_errno(end.session_, errno);
        return n;
    }

    int fd_;
    EndOptions options_;
    const TlsPlan& plan_;
    Random random_;
    gnutls_session_t session_ = nullptr;
    bool said_goodbye_ = false;
    int key_updates_ = 0;
};

}  // namespace

void start_library(const std::string& certificates) {
    gnutls_certificate_allocate_credentials(&credentials);
    const int result = gnutls_certificate_set_x509_key_file(
        credentials, (certificates + "/cert.pem").c_str(), (certificates + "/key.pem").c_str(),
        GNUTLS_X509_FMT_PEM);
    if (result < 0) fail("certificate: %s", gnutls_strerror(result));
}

std::unique_ptr<SecureEnd> make_end(int fd, const EndOptions& options, Random random) {
    return std::make_unique<GnutlsEnd>(fd, options, random);
}

}  // namespace torture
