// SPDX-License-Identifier: Apache-2.0
// A file that a user named for our output. Never waits: neither for the reader of a FIFO when it is
// opened, nor without end for a reader that has stopped reading.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace remora {

// Created or emptied; close-on-exec. What standard output or error go to (/dev/stdout, or a log
// that the shell has opened) is shared with them instead: not emptied, written where they write.
// Pipes and terminals are non-blocking: for OutputWriter. what: "the output file", for the error.
Result<UniqueFd> open_output_file(const std::string& path, const std::string& what,
                                  mode_t mode = 0666);

// Writes to such a file. One thread writes; limit() may be called from any.
class OutputWriter {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // Takes what was written away from `text`. The error's number is errno; ETIMEDOUT: the reader
    // took nothing more until the deadline or limit.
    Status write(int fd, std::string_view& text, TimePoint deadline = TimePoint::max());

    // From now on no write waits beyond this, a running one included.
    void limit(TimePoint deadline) noexcept;

private:
    std::atomic<TimePoint::rep> limit_{TimePoint::max().time_since_epoch().count()};
};

}  // namespace remora
