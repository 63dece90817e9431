// SPDX-License-Identifier: Apache-2.0
// How a request body stands in a spool segment: a header with checksums of its own and of the body,
// so that one damaged record is all that is lost.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace remora {

// In the byte order of the machine: a spool does not travel.
struct SpoolRecordHeader {
    static constexpr uint32_t magic_number = 0x52736c4d;

    uint32_t magic = magic_number;
    uint32_t length = 0;  // of the body, in bytes
    uint32_t spans = 0;
    uint32_t body_checksum = 0;    // CRC-32
    uint32_t header_checksum = 0;  // of the four above

    static SpoolRecordHeader of(std::string_view body, uint32_t spans);
    [[nodiscard]] bool valid() const;
};
static_assert(sizeof(SpoolRecordHeader) == 20);

struct SpoolRecordPlace {
    off_t offset = 0;  // of the header
    SpoolRecordHeader header;

    [[nodiscard]] off_t end() const {
        return offset + static_cast<off_t>(sizeof(header)) + static_cast<off_t>(header.length);
    }
};

// At `from` or, where no whole record stands there, the next one behind it. Nothing: none follows
// before `end`.
std::optional<SpoolRecordPlace> find_spool_record(int fd, off_t from, off_t end);

// Nothing: the body does not agree with its checksum.
std::optional<std::string> read_spool_body(int fd, const SpoolRecordPlace& place);

// All of it or none: what was written of it is taken back. The error holds errno only.
Status append_spool_record(int fd, off_t end, std::string_view body, uint32_t spans);

}  // namespace remora
