// SPDX-License-Identifier: Apache-2.0
// A pool of objects by index that grows by slabs and never gives memory back: an index once handed
// out stays readable for the life of the process, so that a racing reader can't fault.
//
// Lock-free and safe in signal handlers and in forked children. Index 0 is nobody. Growing costs one
// mmap per slab; everything else is a compare-and-swap.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace remora::shim {

template <class T, uint32_t per_slab, uint32_t max_slabs>
class Pool {
public:
    // 0 when the kernel gives no memory or the pool is at its limit. Contents are as the last user
    // left them, zero at first. Keeps errno.
    uint32_t allocate() noexcept {
        for (;;) {
            uint64_t head = free_.load(std::memory_order_acquire);
            const uint32_t index = static_cast<uint32_t>(head);
            if (index == 0) {
                const uint32_t fresh = take_fresh();
                if (fresh != 0) return fresh;
                return 0;
            }
            const uint32_t next = next_of(index).load(std::memory_order_relaxed);
            // The tag in the upper half makes a head that left and came back a different word.
            const uint64_t wanted = tag(head) | next;
            if (free_.compare_exchange_weak(head, wanted, std::memory_order_acq_rel)) return index;
        }
    }

    void free(uint32_t index) noexcept {
        uint64_t head = free_.load(std::memory_order_relaxed);
        do {
            next_of(index).store(static_cast<uint32_t>(head), std::memory_order_relaxed);
        } while (!free_.compare_exchange_weak(head, tag(head) | index, std::memory_order_acq_rel));
    }

    // index came from allocate().
    T& at(uint32_t index) noexcept {
        return slabs_[(index / per_slab) % max_slabs]
            .load(std::memory_order_acquire)
            ->items[index % per_slab];
    }
    // For an index that may be wrong: nullptr instead of a fault.
    T* find(uint32_t index) noexcept {
        Slab* slab = slabs_[(index / per_slab) % max_slabs].load(std::memory_order_acquire);
        return slab == nullptr || index == 0 ? nullptr : &slab->items[index % per_slab];
    }

private:
    struct Slab {
        std::atomic<uint32_t> next[per_slab];
        T items[per_slab];
    };

    static uint64_t tag(uint64_t head) { return ((head >> 32) + 1) << 32; }
    std::atomic<uint32_t>& next_of(uint32_t index) noexcept {
        return slabs_[index / per_slab].load(std::memory_order_acquire)->next[index % per_slab];
    }

    // The next index that nobody had yet.
    uint32_t take_fresh() noexcept {
        uint32_t used = used_.load(std::memory_order_relaxed);
        do {
            if (used + 1 >= per_slab * max_slabs) return 0;
            if (!ensure_slab((used + 1) / per_slab)) return 0;
        } while (!used_.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel));
        return used + 1;
    }

    bool ensure_slab(uint32_t number) noexcept {
        if (slabs_[number].load(std::memory_order_acquire) != nullptr) return true;
        const int saved = errno;
        void* memory = ::mmap(nullptr, sizeof(Slab), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            errno = saved;
            return slabs_[number].load(std::memory_order_acquire) != nullptr;
        }
        Slab* expected = nullptr;
        if (!slabs_[number].compare_exchange_strong(expected, static_cast<Slab*>(memory),
                                                    std::memory_order_acq_rel))
            ::munmap(memory, sizeof(Slab));
        errno = saved;
        return true;
    }

    // All zero at first, so that pools take no space in the file.
    std::atomic<uint64_t> free_{0};  // tag << 32 | index
    std::atomic<uint32_t> used_{0};  // indices 1..used_ have been handed out
    std::atomic<Slab*> slabs_[max_slabs] = {};
};

}  // namespace remora::shim
