// SPDX-License-Identifier: Apache-2.0
// Receives from a stream socket by all calls that can, into buffers of all sizes, the way blocking
// programs, poll loops and edge-triggered loops do; checks what each call returns and that nothing
// is written beyond its buffer.
#pragma once

#include <string>

#include "tests/preload/torture/support/random.h"
#include "tests/preload/torture/support/random_sender.h"

namespace torture {

struct ReceivePlan {
    Waiting waiting = Waiting::blocking;  // edge: a short read means "drained, wait for EPOLLIN"
    size_t max_piece = 65'536;
    bool peeks = false;  // MSG_PEEK before some reads: what was seen must be what is read
    bool exact = false;  // FIONREAD, and then exactly so much
    bool many = true;    // recvmmsg
    bool vectors = true;
    static ReceivePlan of(Random& random);
};

class RandomReceiver {
public:
    RandomReceiver(int fd, Random random, const ReceivePlan& plan);
    ~RandomReceiver();
    RandomReceiver(const RandomReceiver&) = delete;
    RandomReceiver& operator=(const RandomReceiver&) = delete;

    // Waits until something arrives and appends it; false: the stream has ended.
    bool receive(std::string& into);
    // At least `size` more bytes are on their way, of a body: some reads use MSG_WAITALL.
    void expect(size_t size) { expected_ = size; }
    // A reset counts as an end.
    void tolerate_loss() { tolerate_loss_ = true; }

private:
    ssize_t receive_piece(char* data, size_t size, int flags);
    ssize_t receive_vector(char* data, size_t size, int flags);
    ssize_t receive_many(char* data, size_t size);
    bool peek(std::string& seen);
    void wait_readable();
    // What one call brought: > 0, 0 the end, -1 nothing now.
    ssize_t one_call(std::string& into);

    int fd_;
    Random random_;
    ReceivePlan plan_;
    int epoll_ = -1;
    bool drained_ = true;  // edge: nothing to read until the next event
    bool ending_ = false;  // edge: EPOLLRDHUP was seen, a short read is not the end of it
    size_t expected_ = 0;
    bool tolerate_loss_ = false;
};

}  // namespace torture
