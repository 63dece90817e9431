// SPDX-License-Identifier: Apache-2.0
// Buffers in which a request's head and our lines are laid together, since a TLS library takes one
// run of bytes. Each holds what fits one record; bodies go by in the program's own buffer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"
#include "preload/rewrite.h"

namespace remora::shim {

struct Slice {
    static constexpr size_t capacity = 16384;  // RFC 8446, 5.1: the longest record
    // So many of the program's bytes leave room for every text of an EditList.
    static constexpr size_t program_bytes = capacity - EditList::storage_size;

    uint32_t size = 0;
    uint32_t sent = 0;  // so much of it the library has taken
    uint8_t bytes[capacity];

    // bytes.size <= program_bytes
    void lay(ByteView bytes, const EditList& edits) noexcept;
};

// Index 0 is nobody; 0 when there is none left.
uint32_t allocate_slice() noexcept;
void free_slice(uint32_t index) noexcept;  // 0 is fine
Slice& slice_at(uint32_t index) noexcept;

}  // namespace remora::shim
