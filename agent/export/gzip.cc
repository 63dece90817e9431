// SPDX-License-Identifier: Apache-2.0
#include "agent/export/gzip.h"

#include <zlib.h>

#include <limits>

namespace remora {
namespace {

constexpr int gzip_window_bits = 15 + 16;  // the largest window, with a gzip header
constexpr int memory_level = 8;            // zlib's default

}  // namespace

Result<std::string> gzip(std::string_view text) {
    const Error error{"the batch could not be compressed: no memory"};
    if (text.size() > std::numeric_limits<uInt>::max() / 2) return error;
    z_stream stream{};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window_bits, memory_level,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return error;
    std::string out;
    out.resize(deflateBound(&stream, text.size()));
    // zlib takes a pointer to non-const and does not write through it.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    out.resize(whole ? stream.total_out : 0);
    deflateEnd(&stream);
    if (!whole) return error;
    return out;
}

}  // namespace remora
