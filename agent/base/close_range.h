// SPDX-License-Identifier: Apache-2.0
// Closing many descriptors at once, and finding out which there are.
#pragma once

#include <initializer_list>
#include <vector>

namespace remora {

// Closes every descriptor but these. close_range where the kernel has it (Linux 5.9). Single
// thread.
void close_all_but(std::initializer_list<int> kept);

// All open descriptors in ascending order, by /proc; empty when that can't be read.
std::vector<int> open_descriptors();

}  // namespace remora
