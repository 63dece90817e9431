// SPDX-License-Identifier: Apache-2.0
// What the actors that play with descriptors have in common: small requests with the plain answer,
// and system calls behind the hooks' back. Anything unexpected fails the program.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "tests/preload/torture/support/recording_server.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {

inline uint16_t port;  // of the peer

inline std::string request(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: peer\r\n" + more + "\r\n";
}

inline void expect_answer(int fd) {
    const std::string one = plain_answer;
    if (receive_exactly(fd, one.size()) != one) fail("the answer is not what was sent");
}

inline void ask(int fd, const std::string& path) {
    send_whole(fd, request(path));
    expect_answer(fd);
}

// System calls that no library function stands in front of.
inline long raw(long number, long a, long b = 0, long c = 0) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

}  // namespace torture
