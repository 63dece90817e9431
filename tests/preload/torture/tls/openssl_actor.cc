// SPDX-License-Identifier: Apache-2.0
// The end on OpenSSL: every mode, three transports. After every call the error queue and errno are
// what OpenSSL alone leaves there.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tests/preload/torture/support/sockets.h"
#include "tests/preload/torture/tls/secure_end.h"

namespace torture {
namespace {

constexpr int marker_line = 7331;  // an error of the program's own, left in the queue
constexpr unsigned char guard = 0xa5;
SSL_CTX* context;
thread_local SSL* former = nullptr;  // of the thread's last connection, for SSL_clear()

[[noreturn]] void fail_by_library(const char* what, unsigned number) {
    char text[256];
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    fail("connection %u: %s: %s", number, what, text);
}

class OpensslEnd : public SecureEnd {
public:
    OpensslEnd(int fd, const EndOptions& options, Random random)
        : fd_(fd), options_(options), plan_(options_.plan), random_(random) {
        make_object();
        long modes = 0;
        if (plan_.partial_writes) modes |= SSL_MODE_ENABLE_PARTIAL_WRITE;
        if (plan_.moving_buffer) modes |= SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
        if (plan_.auto_retry) modes |= SSL_MODE_AUTO_RETRY;
        SSL_clear_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_AUTO_RETRY |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_set_mode(ssl_, modes);
        SSL_set_read_ahead(ssl_, plan_.read_ahead ? 1 : 0);
        const int version = plan_.newest ? TLS1_3_VERSION : TLS1_2_VERSION;
        SSL_set_min_proto_version(ssl_, version);
        SSL_set_max_proto_version(ssl_, version);
        set_transport();
        set_nonblocking(fd_, options.waiting != Waiting::blocking);
    }
    ~OpensslEnd() override {
        ERR_clear_error();
        SSL_shutdown(ssl_);
        move_out();
        BIO_free(network_);
        former = ssl_;
        ERR_clear_error();
    }
    OpensslEnd(const OpensslEnd&) = delete;
    OpensslEnd& operator=(const OpensslEnd&) = delete;

    void handshake(bool server) override {
        if (server)
            SSL_set_accept_state(ssl_);
        else
            SSL_set_connect_state(ssl_);
        finish_handshake();
    }

    void send(const std::string& bytes) override {
        for (size_t at = 0; at < bytes.size();) {
            const size_t left = bytes.size() - at;
            const size_t most = std::min(options_.max_write, left);
            const size_t size = random_.chance(50) ? most : 1 + random_.skewed(most - 1);
            at += write_piece(bytes.data() + at, size, left);
            if (plan_.key_updates && random_.chance(5)) update_keys();
        }
    }

    bool receive(std::string& into) override {
        for (;;) {
            bool goes_on = true;
            if (plan_.peeks && random_.chance(50) && seen_.empty()) peek();
            if (read_once(into, goes_on)) return true;
            if (!goes_on) return false;
            wait();
        }
    }

    void close_write() override {
        ERR_clear_error();
        while (SSL_shutdown(ssl_) < 0) {
            // Half of a key update or of its answer is still to be sent.
            if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_SHUTDOWN_WHILE_IN_INIT) {
                finish_handshake();
                continue;
            }
            last_error_ = SSL_get_error(ssl_, -1);
            if (last_error_ != SSL_ERROR_WANT_WRITE) fail_by_library("shutdown", options_.number);
            wait();
        }
        move_out();
    }

    void quiet() override {
        if (plan_.key_updates && random_.chance(30)) update_keys();
        if (!plan_.renegotiates || !random_.chance(30)) return;
        if (SSL_renegotiate(ssl_) != 1) fail_by_library("renegotiate", options_.number);
        finish_handshake();
    }

private:
    void make_object() {
        if (plan_.origin == TlsPlan::Origin::cleared && former != nullptr) {
            ssl_ = std::exchange(former, nullptr);
            SSL_set_session(ssl_, nullptr);
            if (SSL_clear(ssl_) == 1) return;
            ERR_clear_error();  // it refuses where a renegotiation was asked for and never came
            SSL_free(ssl_);
        }
        SSL_free(std::exchange(former, nullptr));
        ssl_ = SSL_new(context);
        if (plan_.origin != TlsPlan::Origin::copied) return;
        SSL* const copy = SSL_dup(ssl_);
        SSL_free(ssl_);
        ssl_ = copy;
    }

    void set_transport() {
        if (plan_.transport == Transport::socket) {
            SSL_set_fd(ssl_, fd_);
        } else if (plan_.transport == Transport::memory) {
            in_ = BIO_new(BIO_s_mem());
            out_ = BIO_new(BIO_s_mem());
            BIO_set_mem_eof_return(in_, -1);
            SSL_set_bio(ssl_, in_, out_);
        } else {
            BIO* own = nullptr;
            BIO_new_bio_pair(&own, plan_.pair_room, &network_, plan_.pair_room);
            SSL_set_bio(ssl_, own, own);
            in_ = out_ = network_;
        }
    }

    void finish_handshake() {
        for (;;) {
            ERR_clear_error();
            const int result = SSL_do_handshake(ssl_);
            if (result == 1) break;
            last_error_ = SSL_get_error(ssl_, result);
            if (last_error_ != SSL_ERROR_WANT_READ && last_error_ != SSL_ERROR_WANT_WRITE)
                fail_by_library("handshake", options_.number);
            wait();
        }
        move_out();
    }

    void update_keys() {
        const int kind =
            random_.chance(50) ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        if (SSL_key_update(ssl_, kind) != 1) fail_by_library("key update", options_.number);
    }

    // Before a call: an empty error queue, or one with an error of our own.
    void before_call() {
        ERR_clear_error();
        marked_ = random_.chance(30);
        if (marked_) {
            ERR_new();
            ERR_set_debug(__FILE__, marker_line, __func__);
            ERR_set_error(ERR_LIB_USER, 99, nullptr);
        }
        errno = 33;
    }

    // After it: nothing was added. OpenSSL empties the queue itself where it handles a message of a
    // handshake. It sets errno to 0 before it uses its transport.
    void after_call(const char* call, bool success) {
        const int number = errno;
        const unsigned long first = ERR_peek_error();
        const unsigned long last = ERR_peek_last_error();
        const bool ours = marked_ && ERR_GET_LIB(first) == ERR_LIB_USER && first == last;
        ERR_clear_error();
        last_error_ = success ? SSL_ERROR_NONE : SSL_get_error(ssl_, 0);
        const bool polluted = first != 0 && !ours;
        if (last_error_ == SSL_ERROR_SYSCALL && polluted) {
            print_error(call, first);  // a real one: the caller fails, or may not care
            return;
        }
        if (polluted)
            fail("connection %u: %s left %lx in the error queue", options_.number, call, first);
        const bool waits =
            last_error_ == SSL_ERROR_WANT_READ || last_error_ == SSL_ERROR_WANT_WRITE;
        if (!success && !waits) return;
        const bool by_kernel = plan_.transport == Transport::socket && waits;
        // Without SSL_MODE_AUTO_RETRY a record that is no data is enough to be asked again.
        if (by_kernel && !plan_.auto_retry && number == 0) return;
        if (number != (by_kernel ? EAGAIN : 0))
            fail("connection %u: %s (%s) left errno %d", options_.number, call,
                 success ? "done" : "to be retried", number);
    }

    void print_error(const char* call, unsigned long error) const {
        char text[256];
        ERR_error_string_n(error, text, sizeof(text));
        fprintf(stderr, "connection %u: %s: %s\n", options_.number, call, text);
    }

    size_t write_piece(const char* data, size_t size, size_t left) {
        std::string copy;
        for (;;) {
            const char* from = data;
            if (plan_.moving_buffer) {
                std::string moved(data, size);
                std::fill(copy.begin(), copy.end(), '#');  // where it was it is no more
                copy.swap(moved);
                from = copy.data();
            }
            size_t written = 0;
            before_call();
            const int result = plan_.extended_calls ? SSL_write_ex(ssl_, from, size, &written)
                                                    : SSL_write(ssl_, from, static_cast<int>(size));
            after_call("a write", result > 0);
            if (result > 0) {
                const size_t count = plan_.extended_calls ? written : static_cast<size_t>(result);
                if (count == 0 || count > size || (!plan_.partial_writes && count != size))
                    fail("connection %u: a write took %zu of %zu", options_.number, count, size);
                move_out();
                return count;
            }
            if (last_error_ != SSL_ERROR_WANT_WRITE && last_error_ != SSL_ERROR_WANT_READ)
                fail("connection %u: a write of %zu: error %d", options_.number, size, last_error_);
            wait();
            if (plan_.reads_while_writing && meanwhile_ != nullptr && random_.chance(40)) {
                bool goes_on = true;
                if (options_.waiting != Waiting::blocking) read_once(*meanwhile_, goes_on);
            }
            if (plan_.growing_retries && random_.chance(50))
                size += random_.skewed(std::min<size_t>(left - size, 20'000));
        }
    }

    void peek() {
        std::string buffer(1 + random_.skewed(plan_.max_piece), '\0');
        size_t count = 0;
        before_call();
        const int result = plan_.extended_calls
                               ? SSL_peek_ex(ssl_, buffer.data(), buffer.size(), &count)
                               : SSL_peek(ssl_, buffer.data(), static_cast<int>(buffer.size()));
        after_call("a peek", result > 0);
        if (result <= 0) return;
        if (!plan_.extended_calls) count = static_cast<size_t>(result);
        seen_ = buffer.substr(0, count);
    }

    // One call. True: it brought something. goes_on: false at the end of the stream.
    bool read_once(std::string& into, bool& goes_on) {
        const size_t size = 1 + random_.skewed(plan_.max_piece - 1);
        std::string buffer(size + 64, static_cast<char>(guard));
        size_t count = 0;
        before_call();
        const int result = plan_.extended_calls
                               ? SSL_read_ex(ssl_, buffer.data(), size, &count)
                               : SSL_read(ssl_, buffer.data(), static_cast<int>(size));
        after_call("a read", result > 0);
        for (size_t i = size; i < buffer.size(); ++i)
            if (static_cast<unsigned char>(buffer[i]) != guard)
                fail("connection %u: a read of %zu wrote beyond", options_.number, size);
        if (result > 0) {
            if (!plan_.extended_calls) count = static_cast<size_t>(result);
            if (count == 0 || count > size)
                fail("connection %u: a read of %zu brought %zu", options_.number, size, count);
            compare_with_seen(buffer, count);
            into.append(buffer, 0, count);
            move_out();  // an answer to a key update
            return true;
        }
        goes_on = last_error_ == SSL_ERROR_WANT_READ || last_error_ == SSL_ERROR_WANT_WRITE;
        return false;
    }

    void compare_with_seen(const std::string& buffer, size_t count) {
        const size_t same = std::min(count, seen_.size());
        if (buffer.compare(0, same, seen_, 0, same) != 0)
            fail("connection %u: what was read is not what a peek saw", options_.number);
        seen_.erase(0, same);
    }

    // What the library waits for.
    void wait() {
        if (plan_.transport == Transport::socket) {
            // Records may wait in the library, which a poll would not tell; or half of one.
            pollfd soon{fd_, POLLIN, 0};
            if (last_error_ == SSL_ERROR_WANT_READ && SSL_has_pending(ssl_) == 1) {
                poll(&soon, 1, 1);
                return;
            }
            await(fd_, last_error_ == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN, "go on inside TLS");
            return;
        }
        const bool moved = move_out();
        // Without SSL_MODE_AUTO_RETRY one record that is no data ends a read.
        const size_t left =
            plan_.transport == Transport::pair ? BIO_ctrl_wpending(in_) : BIO_ctrl_pending(in_);
        if (last_error_ == SSL_ERROR_WANT_READ && left > 0) return;
        if (last_error_ == SSL_ERROR_WANT_WRITE || (moved && random_.chance(50))) return;
        move_in();
    }

    // Between memory and the socket.
    bool move_out() {
        if (out_ == nullptr) return false;
        std::string all;
        for (char buffer[3000]; BIO_ctrl_pending(out_) > 0;) {
            const int size = BIO_read(out_, buffer, sizeof(buffer));
            if (size > 0) all.append(buffer, static_cast<size_t>(size));
        }
        for (size_t at = 0; at < all.size();) {
            const ssize_t n = ::send(fd_, all.data() + at, all.size() - at, MSG_NOSIGNAL);
            if (n > 0)
                at += static_cast<size_t>(n);
            else if (errno == EAGAIN)
                await(fd_, POLLOUT, "send records");
            else
                return true;  // the peer has gone
        }
        return !all.empty();
    }
    void move_in() {
        std::string buffer(1 + random_.skewed(20'000), '\0');
        if (plan_.transport == Transport::pair)
            buffer.resize(std::min(buffer.size(), BIO_ctrl_get_write_guarantee(in_)));
        if (buffer.empty()) return;
        await(fd_, POLLIN, "receive records");
        const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
        if (n > 0 && BIO_write(in_, buffer.data(), static_cast<int>(n)) != n)
            fail("connection %u: the transport took less than it had room for", options_.number);
        if (n > 0) return;
        if (plan_.transport == Transport::pair)
            BIO_shutdown_wr(network_);
        else
            BIO_set_mem_eof_return(in_, 0);
    }

    int fd_;
    EndOptions options_;
    const TlsPlan& plan_;
    Random random_;
    SSL* ssl_ = nullptr;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
    BIO* network_ = nullptr;  // the far side of a pair
    std::string seen_;        // by a peek, and not read yet
    bool marked_ = false;
    int last_error_ = 0;
};

}  // namespace

void start_library(const std::string& certificates) {
    context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_options(context, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    if (SSL_CTX_use_certificate_file(context, (certificates + "/cert.pem").c_str(),
                                     SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, (certificates + "/key.pem").c_str(),
                                    SSL_FILETYPE_PEM) != 1)
        fail_by_library("certificate", 0);
}

std::unique_ptr<SecureEnd> make_end(int fd, const EndOptions& options, Random random) {
    return std::make_unique<OpensslEnd>(fd, options, random);
}

}  // namespace torture
