// SPDX-License-Identifier: Apache-2.0
// The shared memory of bpf/abi/lanes.h, as the agent sees it: makes the sealed memfd, maps it,
// gives lanes their pages. Not thread-safe.
//
// The file is sparse. A lane is offered to programs only after fallocate() has given it its pages:
// a page that could not be had would kill the program that touches it (SIGBUS).
#pragma once

#include <cstdint>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "bpf/abi/lanes.h"

namespace remora {

class LaneFile {
public:
    // Fewer lanes than asked for where RLIMIT_FSIZE allows no more; an error when not even one fits
    // or the kernel has no sealed memfd (Linux 3.17). Single-threaded use: the limit may be raised
    // and put back, and SIGXFSZ is blocked meanwhile.
    static Result<LaneFile> create(uint32_t lanes);

    LaneFile(LaneFile&& other) noexcept;
    LaneFile& operator=(LaneFile&& other) noexcept;
    ~LaneFile();

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] uint32_t lanes() const { return lanes_; }
    [[nodiscard]] remora_lane& lane(uint32_t index) const { return base_[index]; }  // < lanes()
    [[nodiscard]] uint64_t device() const { return device_; }
    [[nodiscard]] uint64_t inode() const { return inode_; }

    // Gives the lane its pages and marks it READY. false: no memory; the lane stays ABSENT.
    bool offer(uint32_t index);
    // Empties a lane whose owner is gone and marks it READY again.
    void offer_again(uint32_t index);
    // Gives the pages of a READY lane back to the kernel. false: somebody has just claimed it.
    bool withdraw(uint32_t index);

private:
    LaneFile() = default;
    void unmap();

    UniqueFd fd_;
    uint32_t lanes_ = 0;
    remora_lane* base_ = nullptr;
    uint64_t device_ = 0;
    uint64_t inode_ = 0;
};

}  // namespace remora
