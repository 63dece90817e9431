// SPDX-License-Identifier: Apache-2.0
// Is a TLS library part of the executable itself? Then its functions are called without a symbol
// that a preloaded library could stand in front of. The file is untrusted: reading is bounded. Any
// thread; blocks for as long as it takes to read the file.
#pragma once

#include <string>

namespace remora {

// Which: "OpenSSL", "rustls"; empty: none that can be told. By the functions that its symbol tables
// define. `thorough`: and by the names of source files that such libraries carry in their data even
// where the symbols are stripped (reads all of the file, up to 256 MiB).
std::string find_linked_tls(const std::string& path, bool thorough);

}  // namespace remora
