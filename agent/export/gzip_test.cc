// SPDX-License-Identifier: Apache-2.0
#include "agent/export/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

namespace remora {
namespace {

std::string unpacked(const std::string& packed, size_t size) {
    std::string text(size + 1, '\0');
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);  // gzip alone, no zlib header
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(text.data());
    stream.avail_out = static_cast<uInt>(text.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    text.resize(stream.total_out);
    inflateEnd(&stream);
    return text;
}

TEST(Gzip, ComesBackAsItWas) {
    std::string noise;
    for (uint32_t i = 0, x = 1; i < 100000; ++i) noise += static_cast<char>(x = x * 69069 + 1);
    for (const std::string& text :
         {std::string(), std::string("a"), std::string(50000, 'x'), noise}) {
        const auto packed = gzip(text);
        ASSERT_TRUE(packed);
        EXPECT_EQ(unpacked(*packed, text.size()), text);
    }
    EXPECT_LT(gzip(std::string(50000, 'x'))->size(), 1000u);
}

}  // namespace
}  // namespace remora
