// SPDX-License-Identifier: Apache-2.0
// Plain helpers around sockets of the loopback. Errors end the process with a message: in a test of
// what libc calls do, a call that should not fail and does is a finding.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace torture {

[[noreturn]] void fail(const char* what, ...) __attribute__((format(printf, 1, 2)));

// Options of 0 leave the kernel's default.
int listen_on_loopback(uint16_t& port, int receive_buffer = 0, int backlog = 64);
// -1 where nobody listens.
int try_to_connect(uint16_t port);
int connect_to_loopback(uint16_t port, int send_buffer = 0, int receive_buffer = 0);
int accept_one(int listener);
void set_nonblocking(int fd, bool nonblocking);

// Waits for events on one descriptor; fails after the patience of the test is over.
void await(int fd, short events, const char* what);
constexpr int patience_ms = 30'000;

// Blocking, whole, whatever the descriptor's mode.
void send_whole(int fd, const std::string& bytes);
// Until the peer ends its stream.
std::string receive_until_end(int fd);
std::string receive_exactly(int fd, size_t size);

}  // namespace torture
