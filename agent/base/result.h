// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or an Error that says what happened, why, and what to do. Agent only.
//
//   Result<int> open_port(...) { if (bad) return Error{"port 80 is taken", EADDRINUSE}; return 80; }
//   auto port = open_port(); if (!port) return port.error();
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace remora {

struct Error {
    std::string message;
    int number = 0;  // errno, or 0

    // "cannot open x: Permission denied"
    [[nodiscard]] std::string text() const {
        return number == 0 ? message : message + ": " + std::strerror(number);
    }
};

template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return content_.index() == 0; }
    T& value() { return std::get<0>(content_); }
    const T& value() const { return std::get<0>(content_); }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    [[nodiscard]] const Error& error() const { return std::get<1>(content_); }

private:
    std::variant<T, Error> content_;
};

struct Done {};  // what a Result without a value holds: return Done{};
using Status = Result<Done>;

}  // namespace remora
