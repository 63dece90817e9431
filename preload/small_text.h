// SPDX-License-Identifier: Apache-2.0
// A short text built on the stack: always NUL-terminated, cut where it does not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "agent/base/bytes.h"

namespace remora::shim {

template <size_t capacity>
class SmallText {
public:
    SmallText& add(ByteView piece) noexcept {
        for (size_t i = 0; i < piece.size; ++i) add_char(static_cast<char>(piece[i]));
        return *this;
    }
    SmallText& add(const char* piece) noexcept { return add(ByteView{piece, strlen(piece)}); }
    SmallText& add_number(uint64_t value) noexcept {
        char digits[20];
        size_t count = 0;
        do digits[count++] = static_cast<char>('0' + value % 10);
        while ((value /= 10) != 0);
        while (count > 0) add_char(digits[--count]);
        return *this;
    }
    [[nodiscard]] const char* text() const noexcept { return text_; }
    [[nodiscard]] ByteView view() const noexcept { return {text_, size_}; }
    [[nodiscard]] bool cut() const noexcept { return cut_; }

private:
    void add_char(char c) noexcept {
        if (size_ + 1 < capacity)
            text_[size_++] = c;
        else
            cut_ = true;
    }
    char text_[capacity] = {};
    size_t size_ = 0;
    bool cut_ = false;
};

}  // namespace remora::shim
