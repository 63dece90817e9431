// SPDX-License-Identifier: Apache-2.0
#include "agent/base/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/base/printable.h"

namespace remora {

namespace {

using Clock = std::chrono::steady_clock;

// How long a limit that is set while we wait may go unseen.
constexpr std::chrono::milliseconds slice{50};

// The standard descriptor that has this regular file open; -1: none. With a position of our own we
// would write over what it writes.
int standard_descriptor_of(const std::string& path) {
    struct stat named {};
    if (::stat(path.c_str(), &named) != 0 || !S_ISREG(named.st_mode)) return -1;
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        struct stat open {};
        if (::fstat(fd, &open) == 0 && open.st_dev == named.st_dev && open.st_ino == named.st_ino &&
            (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
            return fd;
    }
    return -1;
}

bool is_fifo(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

Result<UniqueFd> open_output_file(const std::string& path, const std::string& what, mode_t mode) {
    const int shared = standard_descriptor_of(path);
    UniqueFd fd{shared >= 0
                    ? ::fcntl(shared, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                    : ::open(path.c_str(),
                             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                             mode)};
    if (fd) return fd;
    const int error = errno;
    if (error == ENXIO && is_fifo(path))
        return Error{"cannot open " + what + " " + printable(path) +
                     ": nobody reads this FIFO yet; start its reader first"};
    return Error{"cannot open " + what + " " + printable(path), error};
}

Status OutputWriter::write(int fd, std::string_view& text, TimePoint deadline) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count >= 0) {
            text.remove_prefix(static_cast<size_t>(count));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return Error{"cannot write", errno};
        const TimePoint now = Clock::now();
        const TimePoint end = std::min(deadline, TimePoint(Clock::duration(limit_.load())));
        if (now >= end) return Error{"cannot write", ETIMEDOUT};
        const auto wait = std::min(std::chrono::ceil<std::chrono::milliseconds>(end - now), slice);
        pollfd writable{fd, POLLOUT, 0};
        if (::poll(&writable, 1, static_cast<int>(wait.count())) < 0 && errno != EINTR)
            return Error{"cannot write", errno};
    }
    return Done{};
}

void OutputWriter::limit(TimePoint deadline) noexcept {
    limit_.store(deadline.time_since_epoch().count());
}

}  // namespace remora
