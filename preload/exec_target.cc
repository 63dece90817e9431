// SPDX-License-Identifier: Apache-2.0
#include "preload/exec_target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "preload/child_environment.h"
#include "preload/process_state.h"
#include "preload/raw_syscall.h"
#include "preload/small_text.h"

namespace remora::shim {
namespace {

constexpr size_t longest_path = 4096;
constexpr size_t head_size = 1024;     // of a file; program headers follow the ELF header
constexpr unsigned script_levels = 4;  // the kernel's own limit on interpreters of interpreters
constexpr uint16_t program_headers_max = 64;

struct FileHead {
    char bytes[head_size + 1];  // and a NUL
    size_t size;
};

// Would ld.so find our library? After chroot() it is out of reach, and saying so would be printed.
bool library_reachable() noexcept {
    long result = raw_syscall(SYS_faccessat2, AT_FDCWD, library_path(), R_OK, AT_EACCESS);
    if (result == -ENOSYS || result == -EPERM)  // before Linux 5.8, or an old container runtime
        result = raw_syscall(SYS_faccessat, AT_FDCWD, library_path(), R_OK);
    return result == 0;
}

long read_at(int fd, void* data, size_t size, uint64_t offset) noexcept {
    return raw_syscall(SYS_pread64, fd, data, size, offset);
}

bool loader_is_glibc(int fd, const Elf64_Phdr& header) noexcept {
    char loader[256] = {};
    const size_t size = header.p_filesz < sizeof(loader) - 1 ? header.p_filesz : sizeof(loader) - 1;
    if (read_at(fd, loader, size, header.p_offset) <= 0) return true;
    const char* slash = strrchr(loader, '/');
    return strcmp(slash == nullptr ? loader : slash + 1, "ld-linux-x86-64.so.2") == 0;
}

bool elf_loads_us(int fd, const FileHead& head) noexcept {
    Elf64_Ehdr elf;
    if (head.size < sizeof(elf)) return true;  // too short to run at all
    memcpy(&elf, head.bytes, sizeof(elf));
    if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB) return false;
    if (elf.e_machine != EM_X86_64) return false;
    if (elf.e_phentsize != sizeof(Elf64_Phdr)) return true;
    for (uint16_t i = 0; i < elf.e_phnum && i < program_headers_max; ++i) {
        Elf64_Phdr header;
        if (read_at(fd, &header, sizeof(header), elf.e_phoff + i * sizeof(header)) !=
            static_cast<long>(sizeof(header)))
            return true;
        if (header.p_type == PT_INTERP) return loader_is_glibc(fd, header);
    }
    return true;  // static: nobody reads LD_PRELOAD, but its children may
}

// The interpreter of "#! /path argument", cut out in place; nullptr: no such line.
const char* script_interpreter(FileHead& head) noexcept {
    if (head.bytes[0] != '#' || head.bytes[1] != '!') return nullptr;
    char* path = head.bytes + 2;
    path += strspn(path, " \t");
    path[strcspn(path, " \t\r\n")] = '\0';
    return *path == '\0' ? nullptr : path;
}

// An empty path is the directory's own descriptor, opened anew: it may be one of O_PATH.
int open_target(int directory, const char* path) noexcept {
    SmallText<40> itself;
    if (*path == '\0') {
        if (directory < 0) return -EBADF;
        itself.add("/proc/self/fd/").add_number(static_cast<uint64_t>(directory));
        path = itself.text();
        directory = AT_FDCWD;
    }
    return static_cast<int>(
        raw_syscall(SYS_openat, directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

enum class Verdict { yes, no, see_interpreter };

Verdict look_at(int fd, FileHead& head) noexcept {
    const long size = read_at(fd, head.bytes, head_size, 0);
    if (size < 4) return Verdict::yes;
    head.size = static_cast<size_t>(size);
    head.bytes[head.size] = '\0';
    if (memcmp(head.bytes, ELFMAG, SELFMAG) == 0)
        return elf_loads_us(fd, head) ? Verdict::yes : Verdict::no;
    return script_interpreter(head) != nullptr ? Verdict::see_interpreter : Verdict::yes;
}

// The kernel finds a file that execvp would pass over (a directory, no permission) just as well.
bool runnable(const char* path) noexcept {
    return raw_syscall(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

// "<directory>/<file>"; an empty directory is the current one. false: too long.
bool join(const char* directory, size_t size, const char* file, char* out) noexcept {
    const size_t file_size = strlen(file);
    if (size + 1 + file_size + 1 > longest_path) return false;
    memcpy(out, directory, size);
    if (size > 0) out[size++] = '/';
    memcpy(out + size, file, file_size + 1);
    return true;
}

// getenv() may be the program's own function (bash has one).
const char* search_path() noexcept {
    if (environ != nullptr)
        for (char** entry = environ; *entry != nullptr; ++entry)
            if (const char* value = value_of(*entry, "PATH")) return value;
    return nullptr;
}

}  // namespace

bool target_loads_us(int directory, const char* path) noexcept {
    // What the filter allows to the new program we can't know; it starts without us.
    if (seccomp_filtered()) return false;
    if (library_path()[0] == '\0' || !library_reachable()) return false;
    if (path == nullptr) return true;
    FileHead head;
    for (unsigned level = 0; level <= script_levels; ++level) {
        const int fd = open_target(directory, path);
        if (fd < 0) return true;
        const Verdict verdict = look_at(fd, head);
        raw_syscall(SYS_close, fd);
        if (verdict != Verdict::see_interpreter) return verdict == Verdict::yes;
        path = script_interpreter(head);
        if (path == nullptr) return true;
        directory = AT_FDCWD;
    }
    return true;
}

bool named_target_loads_us(const char* file) noexcept {
    if (file == nullptr || *file == '\0' || strchr(file, '/') != nullptr || seccomp_filtered())
        return target_loads_us(AT_FDCWD, file == nullptr || *file == '\0' ? nullptr : file);
    const char* path = search_path();
    if (path == nullptr) path = "/bin:/usr/bin";  // confstr(_CS_PATH), as execvp has it
    char candidate[longest_path];
    for (;;) {
        const size_t size = strcspn(path, ":");
        if (join(path, size, file, candidate) && runnable(candidate))
            return target_loads_us(AT_FDCWD, candidate);
        if (path[size] == '\0') return target_loads_us(AT_FDCWD, nullptr);
        path += size + 1;
    }
}

}  // namespace remora::shim
