// SPDX-License-Identifier: Apache-2.0
// cancelled CALL: a thread blocks in CALL (read, recv, recvmsg, poll, epoll_wait, accept)
// on a socket, is cancelled, and its C++ frames and cleanup handlers must be left in order. Prints
// what ran; ends with 0 when all of it did.
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

namespace {
const char* call;
int pair[2];
std::atomic<bool> about_to_block{false};
bool destroyed, cleaned;

struct Guard {
    ~Guard() { destroyed = true; }
};

void block() {
    char byte[16];
    if (strcmp(call, "read") == 0) (void)!read(pair[0], byte, sizeof(byte));
    if (strcmp(call, "recv") == 0) recv(pair[0], byte, sizeof(byte), 0);
    if (strcmp(call, "recvmsg") == 0) {
        iovec part{byte, sizeof(byte)};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        recvmsg(pair[0], &message, 0);
    }
    if (strcmp(call, "poll") == 0) {
        pollfd wanted{pair[0], POLLIN, 0};
        poll(&wanted, 1, -1);
    }
    if (strcmp(call, "epoll_wait") == 0) {
        epoll_event event;
        epoll_wait(epoll_create1(0), &event, 1, -1);
    }
    if (strcmp(call, "accept") == 0) accept(pair[0], nullptr, nullptr);
    for (;;) pause();
}

void* run(void*) {
    Guard guard;
    pthread_cleanup_push([](void*) { cleaned = true; }, nullptr);
    about_to_block = true;
    block();
    pthread_cleanup_pop(0);
    return nullptr;
}
}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    call = argv[1];
    if (strcmp(call, "accept") == 0) {
        pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
        sa_family_t family = AF_UNIX;
        bind(pair[0], reinterpret_cast<sockaddr*>(&family), sizeof(family));  // an abstract name
        listen(pair[0], 1);
    } else if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        return 3;
    }
    pthread_t thread;
    void* result = nullptr;
    pthread_create(&thread, nullptr, run, nullptr);
    while (!about_to_block) sched_yield();
    pthread_cancel(thread);
    pthread_join(thread, &result);
    // The descriptor still works for others.
    bool usable = true;
    if (strcmp(call, "accept") != 0) {
        char byte = 0;
        usable = write(pair[1], "x", 1) == 1 && read(pair[0], &byte, 1) == 1 && byte == 'x';
    }
    printf("cancelled %d destroyed %d cleaned %d usable %d\n", result == PTHREAD_CANCELED, destroyed,
           cleaned, usable);
    return result == PTHREAD_CANCELED && destroyed && cleaned && usable ? 0 : 1;
}
