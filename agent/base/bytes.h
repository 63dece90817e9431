// SPDX-License-Identifier: Apache-2.0
// A view of bytes that somebody else owns. Header-only and free of libstdc++ code: it is built into
// the shim, where std::span and std::string_view would pull in their throwing checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace remora {

struct ByteView {
    const uint8_t* data = nullptr;
    size_t size = 0;

    constexpr ByteView() = default;
    constexpr ByteView(const uint8_t* bytes, size_t count) : data(bytes), size(count) {}
    ByteView(const char* bytes, size_t count)
        : data(reinterpret_cast<const uint8_t*>(bytes)), size(count) {}
    // A string literal, without its NUL.
    template <size_t N>
    ByteView(const char (&literal)[N]) : ByteView(literal, N - 1) {}

    [[nodiscard]] bool empty() const { return size == 0; }
    uint8_t operator[](size_t i) const { return data[i]; }  // i < size is the caller's duty
    // Both clip instead of failing.
    [[nodiscard]] ByteView first(size_t count) const {
        return {data, count < size ? count : size};
    }
    [[nodiscard]] ByteView from(size_t offset) const {
        return offset < size ? ByteView{data + offset, size - offset} : ByteView{data + size, 0};
    }
    [[nodiscard]] ByteView slice(size_t offset, size_t count) const {
        return from(offset).first(count);
    }
    [[nodiscard]] const char* chars() const { return reinterpret_cast<const char*>(data); }
};

inline bool operator==(ByteView a, ByteView b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

constexpr uint8_t ascii_lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c | 0x20) : c;
}
constexpr bool ascii_digit(uint8_t c) { return c >= '0' && c <= '9'; }

inline bool equal_ignoring_case(ByteView a, ByteView b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; ++i)
        if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    return true;
}

// Optional white space of HTTP fields: space and tab (RFC 9110, 5.6.3).
inline ByteView trim_blanks(ByteView v) {
    while (v.size > 0 && (v[0] == ' ' || v[0] == '\t')) v = v.from(1);
    while (v.size > 0 && (v[v.size - 1] == ' ' || v[v.size - 1] == '\t')) --v.size;
    return v;
}

}  // namespace remora
