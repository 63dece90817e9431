// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/lane_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "agent/base/sealed_memory.h"
#include "bpf/abi/control.h"

namespace remora {

namespace {

// Growing a file beyond RLIMIT_FSIZE kills with SIGXFSZ, a memfd too. For as long as this object
// lives the soft limit is as high as it may go and the signal is blocked.
class FileSizeLimitLifted {
public:
    FileSizeLimitLifted() {
        sigset_t too_large;
        ::sigemptyset(&too_large);
        ::sigaddset(&too_large, SIGXFSZ);
        ::pthread_sigmask(SIG_BLOCK, &too_large, &mask_);
        if (::getrlimit(RLIMIT_FSIZE, &limit_) == 0) {
            const rlimit lifted{limit_.rlim_max, limit_.rlim_max};
            ::setrlimit(RLIMIT_FSIZE, &lifted);
        }
    }
    ~FileSizeLimitLifted() {
        const int saved = errno;
        ::setrlimit(RLIMIT_FSIZE, &limit_);
        sigset_t too_large;
        ::sigemptyset(&too_large);
        ::sigaddset(&too_large, SIGXFSZ);
        // One that was raised here is ours; nobody else's may be taken away, so only when it was
        // not blocked before.
        const timespec at_once{};
        if (::sigismember(&mask_, SIGXFSZ) == 0) ::sigtimedwait(&too_large, nullptr, &at_once);
        ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
        errno = saved;
    }
    FileSizeLimitLifted(const FileSizeLimitLifted&) = delete;

    [[nodiscard]] uint64_t bytes() const {
        return limit_.rlim_max == RLIM_INFINITY ? UINT64_MAX : limit_.rlim_max;
    }

private:
    sigset_t mask_{};
    rlimit limit_{RLIM_INFINITY, RLIM_INFINITY};
};

void empty(remora_lane_head& head) {
    __atomic_store_n(&head.done, 0, __ATOMIC_RELAXED);
    for (uint64_t& count : head.lost) __atomic_store_n(&count, 0, __ATOMIC_RELAXED);
    memset(&head.process, 0, sizeof(head.process));
    __atomic_store_n(&head.free, REMORA_LANE_ALL_FREE, __ATOMIC_RELAXED);
    __atomic_add_fetch(&head.claims, 1, __ATOMIC_RELAXED);
}

// Partner: the shim's acquire when it claims the lane.
void mark_ready(remora_lane_head& head) {
    __atomic_store_n(&head.owner, REMORA_LANE_OWNER(0, REMORA_LANE_READY), __ATOMIC_RELEASE);
}

}  // namespace

Result<LaneFile> LaneFile::create(uint32_t lanes) {
    LaneFile file;
    auto fd = create_sealable_memory(REMORA_LANES_MEMFD);
    if (!fd) return fd.error();
    file.fd_ = std::move(*fd);
    lanes = std::min(lanes, REMORA_LANES_MAX);
    {
        const FileSizeLimitLifted limit;
        lanes = static_cast<uint32_t>(std::min<uint64_t>(lanes, limit.bytes() / REMORA_LANE_BYTES));
        if (lanes == 0)
            return Error{
                "cannot make the shared memory for traced programs: the limit on file "
                "sizes (ulimit -f) is below 128 KiB; raise it"};
        if (::ftruncate(file.fd_.get(), static_cast<off_t>(lanes) * REMORA_LANE_BYTES) != 0)
            return Error{"cannot size the shared memory for traced programs", errno};
    }
    file.lanes_ = lanes;
    if (auto sealed = seal_memory(file.fd_.get(), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        !sealed)
        return sealed.error();
    void* memory = ::mmap(nullptr, size_t{lanes} * REMORA_LANE_BYTES, PROT_READ | PROT_WRITE,
                          MAP_SHARED, file.fd_.get(), 0);
    if (memory == MAP_FAILED)
        return Error{"cannot map the shared memory for traced programs", errno};
    file.base_ = static_cast<remora_lane*>(memory);
    struct stat status {};
    if (::fstat(file.fd_.get(), &status) == 0) {
        file.device_ = status.st_dev;
        file.inode_ = status.st_ino;
    }
    return file;
}

bool LaneFile::offer(uint32_t index) {
    int result;
    do {
        result = ::fallocate(fd_.get(), 0, static_cast<off_t>(index) * REMORA_LANE_BYTES,
                             REMORA_LANE_BYTES);
    } while (result != 0 && errno == EINTR);
    if (result != 0) return false;
    empty(base_[index].head);
    mark_ready(base_[index].head);
    return true;
}

void LaneFile::offer_again(uint32_t index) {
    remora_lane& lane = base_[index];
    // Tickets stay, so that whoever still holds one of the old owner's slots finds another word.
    for (remora_slot& slot : lane.slots) {
        const uint64_t ticket = __atomic_load_n(&slot.state, __ATOMIC_RELAXED) >> 8;
        __atomic_store_n(&slot.state, REMORA_SLOT_WORD(ticket + 1, REMORA_SLOT_FREE),
                         __ATOMIC_RELAXED);
    }
    empty(lane.head);
    mark_ready(lane.head);
}

bool LaneFile::withdraw(uint32_t index) {
    uint64_t ready = REMORA_LANE_OWNER(0, REMORA_LANE_READY);
    if (!__atomic_compare_exchange_n(&base_[index].head.owner, &ready, 0, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    // A failure only means that the memory stays ours.
    (void)::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(index) * REMORA_LANE_BYTES, REMORA_LANE_BYTES);
    return true;
}

void LaneFile::unmap() {
    if (base_ != nullptr) ::munmap(base_, size_t{lanes_} * REMORA_LANE_BYTES);
    base_ = nullptr;
}

LaneFile::~LaneFile() { unmap(); }

LaneFile::LaneFile(LaneFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      lanes_(other.lanes_),
      base_(std::exchange(other.base_, nullptr)),
      device_(other.device_),
      inode_(other.inode_) {}

LaneFile& LaneFile::operator=(LaneFile&& other) noexcept {
    unmap();
    fd_ = std::move(other.fd_);
    lanes_ = other.lanes_;
    base_ = std::exchange(other.base_, nullptr);
    device_ = other.device_;
    inode_ = other.inode_;
    return *this;
}

}  // namespace remora
