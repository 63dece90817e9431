// SPDX-License-Identifier: Apache-2.0
#include "agent/base/write_all.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace remora {

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count >= 0) {
            text.remove_prefix(static_cast<size_t>(count));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return Error{"cannot write", errno};
        // The program may have made a shared terminal non-blocking.
        pollfd writable{fd, POLLOUT, 0};
        if (::poll(&writable, 1, -1) < 0 && errno != EINTR) return Error{"cannot write", errno};
    }
    return Done{};
}

}  // namespace remora
