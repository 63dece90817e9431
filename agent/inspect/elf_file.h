// SPDX-License-Identifier: Apache-2.0
// The few things that matter here about an ELF file (System V ABI, chapters 4 and 5). The file is
// untrusted: every offset is checked, reading is bounded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora {

struct ElfFile {
    bool x86_64 = false;  // 64-bit, little-endian, EM_X86_64; the rest is filled only if so
    unsigned machine = 0;
    bool is_64_bit = false;
    std::string interpreter;          // PT_INTERP; empty: statically linked
    std::vector<std::string> needed;  // DT_NEEDED
    bool dynamic = false;             // has a dynamic section
    bool go = false;                  // carries the Go linker's build id
};

// Nothing: not an ELF file, or one that can't be read.
std::optional<ElfFile> read_elf_file(const std::string& path);

}  // namespace remora
