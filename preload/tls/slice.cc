// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/slice.h"

#include "preload/pool.h"

namespace remora::shim {
namespace {

// At most 2,048 heads that wait for their sockets at once; memory is touched as it is used.
constinit Pool<Slice, 4, 512> slices;

}  // namespace

void Slice::lay(ByteView from, const EditList& edits) noexcept {
    size_t out = 0, in = 0;
    for (unsigned i = 0; i < edits.count; ++i) {
        const Edit& edit = edits.edits[i];
        memcpy(bytes + out, from.data + in, edit.at - in);
        out += edit.at - in;
        memcpy(bytes + out, edits.storage + edit.text, edit.text_size);
        out += edit.text_size;
        in = edit.at + edit.remove;
    }
    memcpy(bytes + out, from.data + in, from.size - in);
    size = static_cast<uint32_t>(out + (from.size - in));
    sent = 0;
}

uint32_t allocate_slice() noexcept { return slices.allocate(); }
void free_slice(uint32_t index) noexcept {
    if (index != 0) slices.free(index);
}
Slice& slice_at(uint32_t index) noexcept { return slices.at(index); }

}  // namespace remora::shim
