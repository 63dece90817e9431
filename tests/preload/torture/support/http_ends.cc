// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/http_ends.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

// Reads what a client sends, at its own pace, and answers each request once it is there.
class Peer {
public:
    Peer(int fd, const Stream& stream, const Pace& pace, Random random)
        : fd_(fd), stream_(stream), pace_(pace), random_(random) {
        set_nonblocking(fd, true);
        seen_.problem.clear();
    }

    Seen run() {
        while (!ended_ && seen_.problem.empty()) {
            const short wanted = static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT));
            pollfd one{fd_, wanted, 0};
            const int ready = poll(&one, 1, patience_ms);
            if (ready == 0) return complain("stalled"), seen_;
            if (one.revents & POLLOUT) flush();
            if (one.revents & (POLLIN | POLLHUP | POLLERR)) read_some();
            take_requests();
            end_response();
        }
        const std::string rest = in_.substr(at_);
        if (seen_.problem.empty() && rest != stream_.tail)
            complain("what follows the last request is not what was sent: " + rest.substr(0, 300));
        return seen_;
    }

private:
    void complain(const std::string& what) {
        if (!seen_.problem.empty()) return;
        seen_.problem = what + " (request " + std::to_string(next_) + " of " +
                        std::to_string(stream_.requests.size()) + ", " +
                        std::to_string(in_.size()) + " bytes read)";
    }

    void flush() {
        const ssize_t n = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
        if (n > 0) out_.erase(0, static_cast<size_t>(n));
        if (n < 0 && errno != EAGAIN) complain("the client reset the connection");
    }

    void read_some() {
        std::string buffer(1 + random_.skewed(pace_.slow ? 3000 : 100'000), '\0');
        if (pace_.slow && random_.chance(20)) poll(nullptr, 0, 1);
        const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
        if (n > 0) in_.append(buffer, 0, static_cast<size_t>(n));
        if (n == 0) ended_ = true;
        if (n < 0 && errno != EAGAIN) complain(std::string("reading: ") + strerror(errno));
    }

    // Answers go out in part when a head is there, the rest when the body is.
    void take_requests() {
        const auto& requests = stream_.requests;
        while (next_ < requests.size()) {
            const Request& request = requests[next_];
            if (head_ == 0) {
                head_ = head_size_at(in_, at_);
                if (head_ == 0) return;
                seen_.heads.push_back(in_.substr(at_, head_));
                answered_ =
                    pace_.early ? request.response.bytes.size() : request.response.interim_size;
                out_ += request.response.bytes.substr(0, answered_);
            }
            if (in_.size() < at_ + head_ + request.body.size()) return;
            if (in_.compare(at_ + head_, request.body.size(), request.body) != 0)
                return complain("a body is not what was sent");
            out_ += request.response.bytes.substr(answered_);
            at_ += head_ + request.body.size();
            head_ = 0;
            ++next_;
        }
    }

    void end_response() {
        const auto& requests = stream_.requests;
        if (next_ < requests.size() || requests.empty() || !out_.empty()) return;
        if (requests.back().response.until_close) shutdown(fd_, SHUT_WR);
    }

    int fd_;
    const Stream& stream_;
    Pace pace_;
    Random random_;
    bool ended_ = false;
    std::string in_, out_;
    size_t at_ = 0, head_ = 0, answered_ = 0;
    size_t next_ = 0;
    Seen seen_;
};

// Sends requests in pieces, in turn or all at once, and compares the answers.
class Client {
public:
    Client(int fd, const Stream& stream, const Pace& pace, Random random)
        : fd_(fd), stream_(stream), pace_(pace), random_(random) {
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        set_nonblocking(fd, true);
    }

    std::string run() {
        for (const Request& request : stream_.requests) {
            out_ += request.head + request.body;
            expected_ += request.response.bytes;
            if (!pace_.pipelined && !exchange()) return problem_;
        }
        if (!exchange()) return problem_;
        out_ = stream_.tail;
        sent_ = 0;
        if (!exchange()) return problem_;
        if (pace_.half_close || until_close()) {
            shutdown(fd_, SHUT_WR);
            set_nonblocking(fd_, false);
            const std::string rest = receive_until_end(fd_);
            if (!rest.empty()) problem_ = "bytes after the last response: " + rest.substr(0, 200);
        }
        return problem_;
    }

private:
    [[nodiscard]] bool until_close() const {
        const auto& requests = stream_.requests;
        return !requests.empty() && requests.back().response.until_close;
    }

    // Until all is sent and all that is expected has come.
    bool exchange() {
        while (problem_.empty() && (sent_ < out_.size() || in_.size() < expected_.size())) {
            const short wanted = static_cast<short>(POLLIN | (sent_ < out_.size() ? POLLOUT : 0));
            pollfd one{fd_, wanted, 0};
            const int ready = poll(&one, 1, patience_ms);
            if (ready == 0) problem_ = "stalled";
            if (one.revents & POLLOUT) send_some();
            if (one.revents & (POLLIN | POLLHUP | POLLERR)) read_some();
        }
        if (problem_.empty() && in_ != expected_) problem_ = "the response is not what was sent";
        if (!problem_.empty())
            problem_ += " (" + std::to_string(sent_) + " of " + std::to_string(out_.size()) +
                        " bytes sent, " + std::to_string(in_.size()) + " of " +
                        std::to_string(expected_.size()) + " received)";
        return problem_.empty();
    }

    void send_some() {
        const size_t most = std::min(pace_.piece, out_.size() - sent_);
        const size_t piece = random_.chance(60) ? most : 1 + random_.skewed(most - 1);
        const ssize_t n = send(fd_, out_.data() + sent_, piece, MSG_NOSIGNAL);
        if (n > 0) sent_ += static_cast<size_t>(n);
        if (n < 0 && errno != EAGAIN) problem_ = std::string("sending: ") + strerror(errno);
        if (random_.chance(10)) poll(nullptr, 0, 1);  // lets what was sent arrive alone
    }

    void read_some() {
        char buffer[30000];
        const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
        if (n > 0) in_.append(buffer, static_cast<size_t>(n));
        if (n == 0) problem_ = "the server closed";
        if (n < 0 && errno != EAGAIN) problem_ = std::string("receiving: ") + strerror(errno);
    }

    int fd_;
    const Stream& stream_;
    Pace pace_;
    Random random_;
    std::string out_, in_, expected_, problem_;
    size_t sent_ = 0;
};

}  // namespace

Seen serve_and_check(int fd, const Stream& stream, const Pace& pace, Random random) {
    return Peer(fd, stream, pace, random).run();
}

std::string ask_and_check(int fd, const Stream& stream, const Pace& pace, Random random) {
    return Client(fd, stream, pace, random).run();
}

}  // namespace torture
