// SPDX-License-Identifier: Apache-2.0
// A peer that keeps every byte it gets, connection by connection, and answers each request (without
// a body, or with a Content-Length) with "200 OK" and two bytes. Paths ask for something else:
//
//   /reset...   half an answer, then RST       /close...   an answer that ends with the connection
//   /silent...  no answer                      /deaf...    no answer, and nothing more is read
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace torture {

class RecordingServer {
public:
    explicit RecordingServer(int receive_buffer = 0, bool slow = false);
    ~RecordingServer();
    RecordingServer(const RecordingServer&) = delete;
    RecordingServer& operator=(const RecordingServer&) = delete;

    [[nodiscard]] uint16_t port() const { return port_; }
    // What came so far, in the order in which the connections did.
    std::vector<std::string> streams();

private:
    void serve(int fd, size_t number);
    bool answer(int fd, const std::string& path);

    uint16_t port_ = 0;
    bool slow_;
    int listener_;
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
    std::vector<std::string> streams_;
};

// The heads of a stream of such requests.
std::vector<std::string> heads_of(const std::string& stream);
// Without the traceparent line that stands before the blank line, if one does; its value in
// `value`.
std::string without_inserted(const std::string& head, std::string& value);

constexpr const char* plain_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

}  // namespace torture
