// SPDX-License-Identifier: Apache-2.0
// Sends bytes on a stream socket by all calls that can, in pieces of all sizes, the way blocking
// programs, poll loops and edge-triggered loops do; checks what each call returns.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/preload/torture/support/random.h"

namespace torture {

enum class Waiting { blocking, poll, edge };  // edge: a short count means "wait for EPOLLOUT"

struct SendPlan {
    Waiting waiting = Waiting::blocking;
    size_t max_piece = 100'000;
    bool files = true;  // sendfile and splice, where allowed
    bool many = true;   // sendmmsg
    static SendPlan of(Random& random);
};

class RandomSender {
public:
    // fd's mode is set to what the plan says.
    RandomSender(int fd, Random random, const SendPlan& plan);
    ~RandomSender();
    RandomSender(const RandomSender&) = delete;
    RandomSender& operator=(const RandomSender&) = delete;

    // [begin, end) of `bytes` that may go by sendfile() and splice().
    using Range = std::pair<size_t, size_t>;
    void send(const std::string& bytes, const std::vector<Range>& bodies = {});
    // The peer is gone: EPIPE and ECONNRESET end send() quietly from now on.
    void tolerate_loss() { tolerate_loss_ = true; }

private:
    ssize_t send_piece(const char* data, size_t size, bool& all_or_nothing);
    ssize_t send_vector(const char* data, size_t size, int flags);
    ssize_t send_many(const char* data, size_t size, int flags);
    ssize_t send_file(const char* data, size_t size);
    ssize_t send_through_pipe(const char* data, size_t size);
    void wait_writable(bool after_short_count);

    int fd_;
    Random random_;
    SendPlan plan_;
    int epoll_ = -1;
    unsigned refused_in_a_row_ = 0;  // EAGAIN right after the socket was said to be writable
    bool tolerate_loss_ = false;
};

}  // namespace torture
