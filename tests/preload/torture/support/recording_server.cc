// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/recording_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "tests/preload/torture/support/head_check.h"
#include "tests/preload/torture/support/http_stream.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

size_t content_length(const std::string& head) {
    const auto values = values_of(head, "content-length");
    return values.empty() ? 0 : static_cast<size_t>(atol(values[0].c_str()));
}

}  // namespace

RecordingServer::RecordingServer(int receive_buffer, bool slow)
    : slow_(slow), listener_(listen_on_loopback(port_, receive_buffer, 512)) {
    acceptor_ = std::thread([this] {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            const std::lock_guard lock(mutex_);
            open_.push_back(fd);
            streams_.emplace_back();
            threads_.emplace_back([this, fd, number = streams_.size() - 1] { serve(fd, number); });
        }
    });
}

RecordingServer::~RecordingServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    for (std::thread& thread : threads_) thread.join();
    for (const int fd : open_) close(fd);
    close(listener_);
}

std::vector<std::string> RecordingServer::streams() {
    const std::lock_guard lock(mutex_);
    return streams_;
}

void RecordingServer::serve(int fd, size_t number) {
    std::string bytes;
    size_t at = 0;
    char buffer[8192];
    for (;;) {
        const ssize_t n = recv(fd, buffer, slow_ ? 700 : sizeof(buffer), 0);
        if (n <= 0) break;
        bytes.append(buffer, static_cast<size_t>(n));
        {
            const std::lock_guard lock(mutex_);
            streams_[number] = bytes;
        }
        for (;;) {
            const size_t head = head_size_at(bytes, at);
            if (head == 0) break;
            const std::string text = bytes.substr(at, head);
            if (bytes.size() < at + head + content_length(text)) break;
            at += head + content_length(text);
            const size_t path = text.find(' ') + 1;
            if (!answer(fd, text.substr(path, text.find(' ', path) - path))) return;
        }
    }
    shutdown(fd, SHUT_WR);
}

bool RecordingServer::answer(int fd, const std::string& path) {
    if (path.rfind("/silent", 0) == 0) return true;
    if (path.rfind("/deaf", 0) == 0) return false;
    std::string text = plain_answer;
    if (path.rfind("/reset", 0) == 0) text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
    if (path.rfind("/close", 0) == 0) text = "HTTP/1.1 200 OK\r\n\r\nto the end";
    send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (path.rfind("/reset", 0) == 0) {
        const linger now{1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        // A reset follows the close of the last descriptor: the number stays ours, the socket goes.
        const int unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        dup2(unconnected, fd);
        close(unconnected);
        return false;
    }
    if (path.rfind("/close", 0) == 0) shutdown(fd, SHUT_WR);
    return true;
}

std::vector<std::string> heads_of(const std::string& stream) {
    std::vector<std::string> heads;
    for (size_t at = 0; at < stream.size();) {
        const size_t head = head_size_at(stream, at);
        if (head == 0) {
            heads.push_back("INCOMPLETE: " + stream.substr(at));
            break;
        }
        heads.push_back(stream.substr(at, head));
        at += head + content_length(heads.back());
    }
    return heads;
}

std::string without_inserted(const std::string& head, std::string& value) {
    static const std::string name = "\r\ntraceparent: ";
    value.clear();
    const size_t at = head.rfind(name);
    if (at == std::string::npos || at + name.size() + 55 + 4 != head.size()) return head;
    value = head.substr(at + name.size(), 55);
    return head.substr(0, at) + "\r\n\r\n";
}

}  // namespace torture
