// SPDX-License-Identifier: Apache-2.0
// Small text helpers of the agent. Views point into the argument.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remora {

// Without spaces and tabs at its ends.
std::string_view trim_text(std::string_view text) noexcept;

// The trimmed parts between separators; empty ones are left out.
std::vector<std::string_view> split_list(std::string_view text, char separator);

// Appends the text with every %XX decoded (RFC 3986, 2.1). false, with `out` in part written: a '%'
// without two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& out);

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

}  // namespace remora
