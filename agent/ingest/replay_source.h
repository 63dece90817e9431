// SPDX-License-Identifier: Apache-2.0
// Reads a recorded file back into a RecordSink, as if its programs ran now (times are the recorded
// ones). A file is untrusted: a record that breaks the rules is left out and counted as
// record_invalid; one whose size can't be right ends the replay, because nobody knows where the
// next one begins. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/ingest/record_sink.h"

namespace remora {

struct ReplayCounts {
    uint64_t records = 0;  // handed on, HELLO apart
    uint64_t refused = 0;
    bool cut = false;  // the file ends in the middle of a record, or can't be followed to its end
};

class ReplaySource {
public:
    // An error when the file can't be read or does not begin with the HELLO of this version.
    static Result<ReplaySource> open(const std::string& path);

    // Hands on all that is left. An error only when reading fails.
    Result<ReplayCounts> run(RecordSink& sink);

private:
    explicit ReplaySource(UniqueFd fd) : fd_(std::move(fd)) {}

    enum class Next : uint8_t { record, end, cut };
    Result<Next> next();                   // fills record_
    Result<bool> fill(size_t size);        // false: the file ends before
    bool hand_on(RecordSink& sink) const;  // false: refused

    UniqueFd fd_;
    std::vector<uint8_t> buffer_;
    size_t begin_ = 0;  // of what is not consumed yet
    ByteView record_;   // the current one, in buffer_
    ClockOffset clock_;
};

}  // namespace remora
