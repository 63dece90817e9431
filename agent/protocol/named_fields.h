// SPDX-License-Identifier: Apache-2.0
// The header fields that the user named (bpf/abi/control.h), as a parser asks for them: those of
// one kind of message. Built into the shim. Immutable; points into the control page or a copy.
#pragma once

#include "agent/base/bytes.h"
#include "bpf/abi/control.h"

namespace remora {

struct NamedFields {
    const remora_named_field* fields = nullptr;
    uint32_t count = 0;
    uint8_t where = 0;   // enum remora_named_where
    uint64_t sizes = 0;  // bit n: one of them has n bytes

    // The list's entry for a field's name, which may be in any case; nullptr: not named.
    [[nodiscard]] const remora_named_field* find(ByteView name) const noexcept {
        if (name.size > REMORA_NAMED_FIELD_BYTES || (sizes >> name.size & 1) == 0) return nullptr;
        for (uint32_t i = 0; i < count; ++i) {
            const remora_named_field& field = fields[i];
            if ((field.where & where) != 0 && field.size == name.size &&
                equal_ignoring_case(name, ByteView{field.name, name.size}))
                return &field;
        }
        return nullptr;
    }
};

inline uint8_t named_where(uint8_t role, bool request) noexcept {
    if (role == REMORA_ROLE_SERVER)
        return request ? REMORA_NAMED_SERVER_REQUEST : REMORA_NAMED_SERVER_RESPONSE;
    return request ? REMORA_NAMED_CLIENT_REQUEST : REMORA_NAMED_CLIENT_RESPONSE;
}

// Of a list that is complete and does not change any more.
inline NamedFields named_fields_of(const remora_named_field* list, uint32_t count,
                                   uint8_t where) noexcept {
    NamedFields out;
    out.fields = list;
    out.count = count < REMORA_NAMED_FIELDS_MAX ? count : REMORA_NAMED_FIELDS_MAX;
    out.where = where;
    for (uint32_t i = 0; i < out.count; ++i)
        if ((list[i].where & where) != 0 && list[i].size > 0 &&
            list[i].size <= REMORA_NAMED_FIELD_BYTES)
            out.sizes |= uint64_t{1} << list[i].size;
    return out;
}

}  // namespace remora
