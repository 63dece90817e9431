// SPDX-License-Identifier: Apache-2.0
// thread_service inside TLS, on OpenSSL itself:
//
//   tls_service PORT DOWNSTREAM_PORT CALLS      with cert.pem and key.pem in the working directory
//
// GET /call/<n> asks the downstream for /down/<n> over the thread's kept connection. CALLS names
// how bytes are moved: "plain" (SSL_write, SSL_read), "ex" (SSL_write_ex, SSL_read_ex), "peek"
// (SSL_peek before each SSL_read), "memory" (memory BIOs, the socket moved by hand), "pieces" (a
// head in two calls). Ends at SIGTERM.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

std::string calls;
SSL_CTX* serving;
SSL_CTX* calling;

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// One end of a TLS connection over a blocking socket, which it owns.
class End {
public:
    End(SSL_CTX* context, int fd) : fd_(fd), ssl_(SSL_new(context)) {
        if (calls == "memory") {
            in_ = BIO_new(BIO_s_mem());
            out_ = BIO_new(BIO_s_mem());
            SSL_set_bio(ssl_, in_, out_);
        } else {
            SSL_set_fd(ssl_, fd);
        }
    }
    ~End() {
        SSL_shutdown(ssl_);
        flush();
        SSL_free(ssl_);
        close(fd_);
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;

    bool handshake(bool server) {
        for (;;) {
            const int result = server ? SSL_accept(ssl_) : SSL_connect(ssl_);
            if (result == 1) return flush();
            if (!move(result)) return false;
        }
    }

    bool send_all(const std::string& text) {
        const size_t first = calls == "pieces" ? text.size() / 2 : text.size();
        return send_piece(text.data(), first) &&
               (first == text.size() || send_piece(text.data() + first, text.size() - first));
    }

    // Reads until `until` stands in the text, and `more` bytes after it.
    bool receive_until(std::string& text, const std::string& until, size_t more) {
        for (;;) {
            const size_t at = text.find(until);
            if (at != std::string::npos && text.size() >= at + until.size() + more) return true;
            char buffer[4096];
            size_t size = 0;
            if (calls == "peek") {
                char seen[100];
                const int peeked = SSL_peek(ssl_, seen, sizeof(seen));
                if (peeked <= 0) return false;
            }
            int result = 0;
            if (calls == "ex") {
                result = SSL_read_ex(ssl_, buffer, sizeof(buffer), &size);
            } else {
                result = SSL_read(ssl_, buffer, sizeof(buffer));
                size = result > 0 ? static_cast<size_t>(result) : 0;
            }
            if (result > 0) {
                text.append(buffer, size);
            } else if (!move(result)) {
                return false;
            }
        }
    }

private:
    bool send_piece(const char* data, size_t size) {
        size_t written = 0;
        const int result = calls == "ex" ? SSL_write_ex(ssl_, data, size, &written)
                                         : SSL_write(ssl_, data, static_cast<int>(size));
        if (result <= 0) return false;
        if (calls != "ex" && static_cast<size_t>(result) != size) {
            fprintf(stderr, "tls_service: SSL_write took %d of %zu\n", result, size);
            abort();  // without SSL_MODE_ENABLE_PARTIAL_WRITE it never does
        }
        return flush();
    }

    // Between memory and the socket.
    bool flush() {
        char buffer[4096];
        while (out_ != nullptr && BIO_ctrl_pending(out_) > 0) {
            const int size = BIO_read(out_, buffer, sizeof(buffer));
            for (int sent = 0; sent < size;) {
                const ssize_t n =
                    send(fd_, buffer + sent, static_cast<size_t>(size - sent), MSG_NOSIGNAL);
                if (n <= 0) return false;
                sent += static_cast<int>(n);
            }
        }
        return true;
    }
    bool move(int result) {
        if (in_ == nullptr || SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ || !flush())
            return false;
        char buffer[4096];
        const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
        return n > 0 && BIO_write(in_, buffer, static_cast<int>(n)) == n;
    }

    int fd_;
    SSL* ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
};

size_t content_length(const std::string& head) {
    const size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : strtoul(head.c_str() + at + 16, nullptr, 10);
}

std::string call_downstream(End& downstream, const std::string& number) {
    std::string text;
    if (!downstream.send_all("GET /down/" + number + " HTTP/1.1\r\nHost: down\r\n\r\n") ||
        !downstream.receive_until(text, "\r\n\r\n", 0))
        return "downstream failed";
    const size_t head = text.find("\r\n\r\n") + 4;
    const size_t length = content_length(text);
    if (!downstream.receive_until(text, "\r\n\r\n", length)) return "downstream failed";
    return text.substr(head, length);
}

void serve(int fd, int downstream_port) {
    End connection(serving, fd);
    if (!connection.handshake(true)) return;
    const int down = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(downstream_port);
    const bool connected =
        connect(down, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    End downstream(calling, down);
    if (connected) downstream.handshake(false);
    std::string input;
    while (connection.receive_until(input, "\r\n\r\n", 0)) {
        const size_t end = input.find("\r\n\r\n") + 4;
        const std::string path = input.substr(4, input.find(' ', 4) - 4);
        const bool call = path.compare(0, 6, "/call/") == 0;
        const std::string body =
            call ? call_downstream(downstream, path.substr(6)) : input.substr(0, end);
        input.erase(0, end);
        if (!connection.send_all("HTTP/1.1 200 OK\r\nContent-Length: " +
                                 std::to_string(body.size()) + "\r\n\r\n" + body))
            break;
    }
}

bool make_contexts() {
    serving = SSL_CTX_new(TLS_server_method());
    calling = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(calling, SSL_VERIFY_PEER, nullptr);
    return SSL_CTX_use_certificate_file(serving, "cert.pem", SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_use_PrivateKey_file(serving, "key.pem", SSL_FILETYPE_PEM) == 1 &&
           SSL_CTX_load_verify_locations(calling, "cert.pem", nullptr) == 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: tls_service PORT DOWNSTREAM_PORT CALLS\n");
        return 2;
    }
    calls = argv[3];
    signal(SIGPIPE, SIG_IGN);
    if (!make_contexts()) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(atoi(argv[1]));
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener, 512) != 0) {
        perror("tls_service: listen");
        return 1;
    }
    for (;;) {
        const int connection = accept(listener, nullptr, nullptr);
        if (connection >= 0) std::thread(serve, connection, atoi(argv[2])).detach();
    }
}
