// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/linked_tls.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "agent/base/unique_fd.h"

namespace remora {

namespace {

constexpr size_t sections_max = 4096;
constexpr size_t table_max = size_t{64} << 20;  // bytes of a symbol or string table
constexpr uint64_t scan_max = uint64_t{256} << 20;
constexpr std::string_view openssl_function{"SSL_write\0", 10};

std::string read_at(int fd, uint64_t offset, uint64_t size) {
    std::string bytes(std::min<uint64_t>(size, table_max), '\0');
    size_t have = 0;
    while (have < bytes.size() && offset <= INT64_MAX - table_max) {
        const ssize_t count = ::pread(fd, bytes.data() + have, bytes.size() - have,
                                      static_cast<off_t>(offset + have));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        have += static_cast<size_t>(count);
    }
    bytes.resize(have);
    return bytes;
}

template <typename Struct>
std::vector<Struct> read_array(int fd, uint64_t offset, uint64_t count) {
    const std::string bytes = read_at(fd, offset, count * sizeof(Struct));
    std::vector<Struct> items(bytes.size() / sizeof(Struct));
    if (!items.empty()) memcpy(items.data(), bytes.data(), items.size() * sizeof(Struct));
    return items;
}

// Does the table define (not only ask for) a function of this name?
bool defines(int fd, const Elf64_Shdr& symbols, const Elf64_Shdr& strings) {
    const std::string names = read_at(fd, strings.sh_offset, strings.sh_size);
    // A name may be the end of a longer one.
    std::vector<uint32_t> places;
    for (size_t at = names.find(openssl_function); at != std::string::npos && places.size() < 64;
         at = names.find(openssl_function, at + 1))
        places.push_back(static_cast<uint32_t>(at));
    if (places.empty()) return false;
    for (const Elf64_Sym& symbol :
         read_array<Elf64_Sym>(fd, symbols.sh_offset, symbols.sh_size / sizeof(Elf64_Sym)))
        if (symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
            std::find(places.begin(), places.end(), symbol.st_name) != places.end())
            return true;
    return false;
}

bool symbols_say_openssl(int fd) {
    const auto headers = read_array<Elf64_Ehdr>(fd, 0, 1);
    if (headers.empty() || memcmp(headers[0].e_ident, ELFMAG, SELFMAG) != 0 ||
        headers[0].e_ident[EI_CLASS] != ELFCLASS64 || headers[0].e_shentsize != sizeof(Elf64_Shdr))
        return false;
    const auto sections = read_array<Elf64_Shdr>(
        fd, headers[0].e_shoff, std::min<size_t>(headers[0].e_shnum, sections_max));
    for (const uint32_t kind : {SHT_DYNSYM, SHT_SYMTAB})
        for (const Elf64_Shdr& section : sections)
            if (section.sh_type == kind && section.sh_link < sections.size() &&
                defines(fd, section, sections[section.sh_link]))
                return true;
    return false;
}

// The path that the assertion and error macros of these libraries leave behind. In two parts, so
// that it does not stand in our own file.
std::string text_says(int fd) {
    struct Mark {
        std::string text;
        const char* library;
    };
    const Mark marks[] = {{std::string("ssl/") + "ssl_lib.c", "OpenSSL"},
                          {std::string("/rust") + "ls-", "rustls"}};
    constexpr uint64_t chunk = uint64_t{4} << 20;
    constexpr uint64_t overlap = 64;
    for (uint64_t offset = 0; offset < scan_max; offset += chunk) {
        const std::string bytes = read_at(fd, offset, chunk + overlap);
        for (const Mark& mark : marks)
            if (::memmem(bytes.data(), bytes.size(), mark.text.data(), mark.text.size()) != nullptr)
                return mark.library;
        if (bytes.size() < chunk + overlap) break;
    }
    return {};
}

}  // namespace

std::string find_linked_tls(const std::string& path, bool thorough) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) return {};
    if (symbols_say_openssl(fd.get())) return "OpenSSL";
    return thorough ? text_says(fd.get()) : std::string{};
}

}  // namespace remora
