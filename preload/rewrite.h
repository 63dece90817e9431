// SPDX-License-Identifier: Apache-2.0
// Edits of a message head, and how they are laid over the bytes of one call.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "agent/base/bytes.h"

namespace remora::shim {

// At `at` in the call's bytes: `remove` of them give way to `text`. Texts live in EditList::storage.
struct Edit {
    size_t at;
    uint32_t remove;
    uint16_t text;       // offset in storage
    uint16_t text_size;
    uint32_t exchange;   // whose head it belongs to (index of the pool)
    bool inserts;        // adds the trace fields (false: replaces or removes something)
};

// The edits of one call, in order of position, not overlapping. Lives on the stack of a hook.
struct EditList {
    static constexpr unsigned max_edits = 24;  // a pipelined write of many heads: the rest go untouched
    static constexpr unsigned storage_size = 2048;

    Edit edits[max_edits];
    unsigned count = 0;
    unsigned stored = 0;
    char storage[storage_size];

    [[nodiscard]] bool room(size_t text, unsigned edits_wanted) const {
        return count + edits_wanted <= max_edits && stored + text <= storage_size;
    }
    // The caller has asked room() before.
    void add(size_t at, size_t remove, ByteView text, uint32_t exchange, bool inserts) {
        if (!text.empty()) memcpy(storage + stored, text.data, text.size);
        // Positions come nearly sorted; a line before an earlier edit of the same head moves up.
        unsigned i = count++;
        for (; i > 0 && edits[i - 1].at > at; --i) edits[i] = edits[i - 1];
        edits[i] = Edit{at,
                        static_cast<uint32_t>(remove),
                        static_cast<uint16_t>(stored),
                        static_cast<uint16_t>(text.size),
                        exchange,
                        inserts};
        stored += static_cast<unsigned>(text.size);
    }
    // By how much the edits change the length.
    [[nodiscard]] ptrdiff_t delta() const {
        ptrdiff_t sum = 0;
        for (unsigned i = 0; i < count; ++i)
            sum += static_cast<ptrdiff_t>(edits[i].text_size) - static_cast<ptrdiff_t>(edits[i].remove);
        return sum;
    }
};

// Lays the edits over `size` bytes where they are and returns the new size. Each one moves what
// follows it; the planner made sure that the sum fits the buffer, and removals stand before the
// insertion that they make room for.
size_t apply_edits(const EditList& edits, uint8_t* data, size_t size) noexcept;

}  // namespace remora::shim
