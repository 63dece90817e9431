// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/elf_file.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "agent/base/unique_fd.h"

namespace remora {

namespace {

constexpr size_t headers_max = 512;              // program headers of one file
constexpr size_t segment_max = size_t{1} << 20;  // bytes of a segment that we look into
constexpr size_t name_max = 4096;

class Reader {
public:
    explicit Reader(int fd) : fd_(fd) {}

    // At most `size` bytes; fewer where the file ends.
    [[nodiscard]] std::string bytes(uint64_t offset, size_t size) const {
        std::string text(size, '\0');
        const ssize_t count =
            offset > INT64_MAX ? 0 : ::pread(fd_, text.data(), size, static_cast<off_t>(offset));
        text.resize(count > 0 ? static_cast<size_t>(count) : 0);
        return text;
    }
    template <typename Struct>
    [[nodiscard]] bool read(uint64_t offset, Struct& out) const {
        const std::string text = bytes(offset, sizeof(out));
        if (text.size() != sizeof(out)) return false;
        memcpy(&out, text.data(), sizeof(out));
        return true;
    }
    [[nodiscard]] std::string string_at(uint64_t offset) const {
        const std::string text = bytes(offset, name_max);
        return text.substr(0, text.find('\0'));
    }

private:
    int fd_;
};

// The Go linker's note (cmd/link): owner "Go", type 4, the build id.
bool has_go_note(std::string_view notes) {
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, notes.data(), sizeof(note));
        notes.remove_prefix(sizeof(note));
        const auto aligned = [](uint64_t size) { return (size + 3) & ~uint64_t{3}; };
        const uint64_t whole = aligned(note.n_namesz) + aligned(note.n_descsz);
        if (note.n_namesz == 4 && notes.size() >= 4 &&
            notes.compare(0, 4, std::string_view("Go\0\0", 4)) == 0)
            return true;
        if (whole > notes.size()) return false;
        notes.remove_prefix(whole);
    }
    return false;
}

// Where in the file a virtual address is; false: in no segment.
bool file_offset(const std::vector<Elf64_Phdr>& headers, uint64_t address, uint64_t& offset) {
    for (const Elf64_Phdr& header : headers) {
        if (header.p_type != PT_LOAD || address < header.p_vaddr ||
            address - header.p_vaddr >= header.p_filesz)
            continue;
        offset = header.p_offset + (address - header.p_vaddr);
        return true;
    }
    return false;
}

void read_dynamic(const Reader& reader, const std::vector<Elf64_Phdr>& headers,
                  const Elf64_Phdr& section, ElfFile& out) {
    out.dynamic = true;
    const std::string bytes =
        reader.bytes(section.p_offset, std::min<uint64_t>(section.p_filesz, segment_max));
    std::vector<uint64_t> names;
    uint64_t strings = 0;
    for (size_t at = 0; at + sizeof(Elf64_Dyn) <= bytes.size(); at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, bytes.data() + at, sizeof(entry));
        if (entry.d_tag == DT_NULL) break;
        if (entry.d_tag == DT_NEEDED && names.size() < headers_max)
            names.push_back(entry.d_un.d_val);
        if (entry.d_tag == DT_STRTAB) strings = entry.d_un.d_ptr;
    }
    uint64_t offset = 0;
    if (!file_offset(headers, strings, offset)) return;
    for (const uint64_t name : names) out.needed.push_back(reader.string_at(offset + name));
}

}  // namespace

std::optional<ElfFile> read_elf_file(const std::string& path) {
    // O_NONBLOCK: a FIFO must not hold us.
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) return std::nullopt;
    const Reader reader{fd.get()};
    Elf64_Ehdr header{};
    const std::string start = reader.bytes(0, sizeof(header));
    if (start.size() < EI_NIDENT + 4 || memcmp(start.data(), ELFMAG, SELFMAG) != 0)
        return std::nullopt;
    memcpy(&header, start.data(), start.size());
    ElfFile file;
    file.machine = header.e_machine;
    file.is_64_bit = header.e_ident[EI_CLASS] == ELFCLASS64;
    file.x86_64 = file.is_64_bit && header.e_ident[EI_DATA] == ELFDATA2LSB &&
                  header.e_machine == EM_X86_64 && start.size() == sizeof(header);
    if (!file.x86_64 || header.e_phentsize != sizeof(Elf64_Phdr)) return file;

    std::vector<Elf64_Phdr> headers(std::min<size_t>(header.e_phnum, headers_max));
    for (size_t i = 0; i < headers.size(); ++i)
        if (!reader.read(header.e_phoff + i * sizeof(Elf64_Phdr), headers[i])) return file;
    for (const Elf64_Phdr& segment : headers) {
        const size_t size = std::min<uint64_t>(segment.p_filesz, segment_max);
        if (segment.p_type == PT_INTERP) file.interpreter = reader.string_at(segment.p_offset);
        if (segment.p_type == PT_NOTE && has_go_note(reader.bytes(segment.p_offset, size)))
            file.go = true;
        if (segment.p_type == PT_DYNAMIC) read_dynamic(reader, headers, segment, file);
    }
    return file;
}

}  // namespace remora
