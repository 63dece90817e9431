// SPDX-License-Identifier: Apache-2.0
#include "agent/export/spool_record.h"

#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace remora {
namespace {

uint32_t checksum(const void* data, size_t size) {
    return static_cast<uint32_t>(
        ::crc32_z(0, static_cast<const unsigned char*>(data), static_cast<z_size_t>(size)));
}

bool read_exactly(int fd, void* data, size_t size, off_t offset) {
    auto* bytes = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t count = ::pread(fd, bytes, size, offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        bytes += count;
        offset += count;
        size -= static_cast<size_t>(count);
    }
    return true;
}

std::optional<SpoolRecordPlace> record_at(int fd, off_t offset, off_t end) {
    SpoolRecordPlace place{offset, {}};
    if (end - offset < static_cast<off_t>(sizeof(place.header))) return std::nullopt;
    if (!read_exactly(fd, &place.header, sizeof(place.header), offset)) return std::nullopt;
    if (!place.header.valid() || place.end() > end) return std::nullopt;
    return place;
}

}  // namespace

SpoolRecordHeader SpoolRecordHeader::of(std::string_view body, uint32_t spans) {
    SpoolRecordHeader header;
    header.length = static_cast<uint32_t>(body.size());
    header.spans = spans;
    header.body_checksum = checksum(body.data(), body.size());
    header.header_checksum = checksum(&header, offsetof(SpoolRecordHeader, header_checksum));
    return header;
}

bool SpoolRecordHeader::valid() const {
    return magic == magic_number &&
           header_checksum == checksum(this, offsetof(SpoolRecordHeader, header_checksum));
}

std::optional<SpoolRecordPlace> find_spool_record(int fd, off_t from, off_t end) {
    if (auto here = record_at(fd, from, end)) return here;
    constexpr uint32_t magic = SpoolRecordHeader::magic_number;
    char wanted[sizeof(magic)];
    std::memcpy(wanted, &magic, sizeof(magic));
    std::array<char, 64 << 10> block;
    for (off_t offset = from + 1; offset < end;) {
        const auto size =
            static_cast<size_t>(std::min<off_t>(end - offset, static_cast<off_t>(block.size())));
        if (size < sizeof(wanted) || !read_exactly(fd, block.data(), size, offset)) break;
        const char* const last = block.data() + size;
        for (const char* at = block.data();; ++at) {
            at = std::search(at, last, wanted, wanted + sizeof(wanted));
            if (at == last) break;
            if (auto found = record_at(fd, offset + (at - block.data()), end)) return found;
        }
        offset += static_cast<off_t>(size - sizeof(wanted) + 1);  // it may lie on the border
    }
    return std::nullopt;
}

std::optional<std::string> read_spool_body(int fd, const SpoolRecordPlace& place) {
    std::string body(place.header.length, '\0');
    const off_t begin = place.offset + static_cast<off_t>(sizeof(place.header));
    if (!read_exactly(fd, body.data(), body.size(), begin)) return std::nullopt;
    if (checksum(body.data(), body.size()) != place.header.body_checksum) return std::nullopt;
    return body;
}

Status append_spool_record(int fd, off_t end, std::string_view body, uint32_t spans) {
    SpoolRecordHeader header = SpoolRecordHeader::of(body, spans);
    const size_t total = sizeof(header) + body.size();
    size_t written = 0;
    while (written < total) {
        const size_t of_body = written < sizeof(header) ? 0 : written - sizeof(header);
        const size_t of_header = std::min(written, sizeof(header));
        iovec parts[] = {{reinterpret_cast<char*>(&header) + of_header, sizeof(header) - of_header},
                         {const_cast<char*>(body.data()) + of_body, body.size() - of_body}};
        const ssize_t count = ::pwritev(fd, parts, 2, end + static_cast<off_t>(written));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            const int number = count == 0 ? ENOSPC : errno;
            if (::ftruncate(fd, end) != 0) return Error{"", number};  // skipped when it is read
            return Error{"", number};
        }
        written += static_cast<size_t>(count);
    }
    return Done{};
}

}  // namespace remora
