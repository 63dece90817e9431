// SPDX-License-Identifier: Apache-2.0
// For unit tests: runs a test's body in a child process.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace remora::shim {

// What is set up once per process is tested in children of this one. Returns what the child found
// wrong; "" is fine.
inline std::string in_child(const std::function<std::string()>& body) {
    int report[2];
    if (::pipe(report) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) {
        const std::string wrong = body();
        (void)!::write(report[1], wrong.data(), wrong.size());
        ::_exit(0);
    }
    ::close(report[1]);
    std::string text;
    char buffer[512];
    for (ssize_t size; (size = ::read(report[0], buffer, sizeof(buffer))) > 0;)
        text.append(buffer, static_cast<size_t>(size));
    ::close(report[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status == 0 ? text : text + " (died: " + std::to_string(status) + ")";
}

#define REQUIRE(condition) \
    if (!(condition))      \
    return std::string(#condition " does not hold, line ") + std::to_string(__LINE__)

}  // namespace remora::shim
