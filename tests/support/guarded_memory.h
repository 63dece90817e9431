// SPDX-License-Identifier: Apache-2.0
// Memory that ends where a page without any access begins: whoever reads or writes beyond it dies.
// Not thread-safe.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "agent/base/bytes.h"

namespace remora::test {

class GuardedMemory {
public:
    explicit GuardedMemory(size_t capacity) {
        const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
        capacity_ = (capacity + page - 1) / page * page;
        void* memory = ::mmap(nullptr, capacity_ + page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        memory_ = static_cast<uint8_t*>(memory);
        if (::mprotect(memory_ + capacity_, page, PROT_NONE) != 0) std::abort();
        mapped_ = capacity_ + page;
    }
    ~GuardedMemory() { ::munmap(memory_, mapped_); }
    GuardedMemory(const GuardedMemory&) = delete;
    GuardedMemory& operator=(const GuardedMemory&) = delete;

    // The last `size` bytes before the guard.
    [[nodiscard]] uint8_t* last(size_t size) const {
        if (size > capacity_) std::abort();
        return memory_ + capacity_ - size;
    }
    // A copy of the bytes that ends at the guard; the copy before is overwritten.
    [[nodiscard]] ByteView place(ByteView bytes) const {
        uint8_t* at = last(bytes.size);
        if (!bytes.empty()) memcpy(at, bytes.data, bytes.size);
        return {at, bytes.size};
    }

private:
    uint8_t* memory_ = nullptr;
    size_t capacity_ = 0;
    size_t mapped_ = 0;
};

}  // namespace remora::test
