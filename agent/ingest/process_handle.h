// SPDX-License-Identifier: Apache-2.0
// A running process that a lane names: found across pid namespaces, told from a later process of
// the same number, watched by a pidfd (Linux 5.3) or, without one, by looking. Not thread-safe.
#pragma once

#include <optional>

#include "agent/base/unique_fd.h"
#include "bpf/abi/record.h"

namespace remora {

class ProcessHandle {
public:
    // Nothing: the process has ended, or is hidden from us. Reads all of /proc for a process of
    // another pid namespace.
    static std::optional<ProcessHandle> find(const remora_process& process, uint64_t own_namespace);
    // The process that has this number now.
    static std::optional<ProcessHandle> open(int host_pid);

    [[nodiscard]] int host_pid() const { return host_pid_; }
    // Readable once the process has ended; -1: this kernel or our descriptor limit has none.
    [[nodiscard]] int pidfd() const { return pidfd_.get(); }
    // A start that is unknown (the process was gone when it was asked for) fits any.
    [[nodiscard]] bool same_process(const ProcessHandle& other) const {
        return host_pid_ == other.host_pid_ &&
               (start_ns_ == other.start_ns_ || start_ns_ == 0 || other.start_ns_ == 0);
    }
    // All threads of the process are gone, nothing writes any more.
    [[nodiscard]] bool ended() const;
    // How an ended process ended: its exit code, 128 + n for signal n. Known of our children, of
    // any process on Linux 6.15 and later, and else of those whose parents have not asked yet.
    [[nodiscard]] std::optional<int> exit_code() const;

private:
    [[nodiscard]] std::optional<int> waited_status() const;
    [[nodiscard]] std::optional<int> reaped_status() const;

    int host_pid_ = 0;
    uint64_t start_ns_ = 0;  // 0: unknown
    UniqueFd pidfd_;
};

// What a shell would say: the exit code, or 128 + the signal's number. Of siginfo's si_code and
// si_status, and of a wait status.
int exit_code_of(int code, int status);
int exit_code_of(int wait_status);

}  // namespace remora
