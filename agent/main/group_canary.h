// SPDX-License-Identifier: Apache-2.0
// Tells whether a signal that we got was sent to our whole process group (then the traced program
// has it, too) or to us alone. siginfo does not say: both look like kill(). So a tiny process of
// the same group, with every signal blocked, keeps what it gets pending until it is asked.
//
// It holds no descriptor but its two pipes and dies with us (PR_SET_PDEATHSIG). Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace remora {

class GroupCanary {
public:
    // All signals must be blocked, and no thread may exist yet.
    static Result<GroupCanary> start();

    // Has the group received this signal since it was last asked about it? Takes some milliseconds:
    // a signal reaches the members of a group one after the other. false when the canary does not
    // answer: it is stopped or dead, and forwarding once too often is better than never.
    bool group_received(int signal);

    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    GroupCanary() = default;
    bool ask(int signal);

    pid_t pid_ = 0;
    UniqueFd questions_;
    UniqueFd answers_;
    uint8_t sequence_ = 0;  // tells an answer from a late one to an earlier question
};

}  // namespace remora
