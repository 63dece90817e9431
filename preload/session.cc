// SPDX-License-Identifier: Apache-2.0
// How the shim gets at the session's memory. It runs inside somebody's program before main(), so it
// uses raw system calls (no other library's hooks, errno untouched), opens nothing that it has not
// looked at, keeps no descriptor, and gives up silently.
#include "preload/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstring>

#include "agent/base/bytes.h"
#include "agent/context/ids.h"
#include "preload/raw_syscall.h"
#include "preload/session_socket.h"
#include "preload/small_text.h"

namespace remora::shim {

constinit Session session_storage;

namespace {

constexpr uint32_t pid_limit = 1u << 22;  // the kernel's PID_MAX_LIMIT on 64-bit machines
constexpr uint32_t fd_limit = 1u << 30;

// Does /proc/<pid>/fd/<fd> say "/memfd:<name> (deleted)"? 1 yes, 0 no, or -errno.
long names_memfd(const char* link, const char* name) noexcept {
    char target[64];
    const long size = raw_syscall(SYS_readlink, link, target, sizeof(target));
    if (size < 0) return size;
    SmallText<64> expected;
    expected.add("/memfd:").add(name).add(" (deleted)");
    return ByteView{target, static_cast<size_t>(size)} == expected.view() ? 1 : 0;
}

// Opens the agent's memory file. -errno; -ENOENT for anything that is not such a file.
int open_memfd(const SessionAddress& address, uint32_t fd, const char* name, int flags) noexcept {
    SmallText<64> link;
    link.add("/proc/").add_number(address.agent_pid).add("/fd/").add_number(fd);
    const long named = names_memfd(link.text(), name);
    if (named < 0) return static_cast<int>(named);
    if (named == 0) return -ENOENT;
    // O_NONBLOCK: between the look and this call the number may have become a FIFO.
    return static_cast<int>(
        raw_syscall(SYS_openat, AT_FDCWD, link.text(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

// Size of a memory file that can't shrink under us (an access beyond its end would be SIGBUS); 0:
// it is something else.
uint64_t sealed_size(int fd) noexcept {
    struct stat status {};
    if (raw_syscall(SYS_fstat, fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    const long seals = raw_syscall(SYS_fcntl, fd, F_GET_SEALS, 0);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return 0;
    return status.st_size > 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

void* map_shared(int fd, uint64_t size, int protection) noexcept {
    const long address = raw_syscall(SYS_mmap, 0, size, protection, MAP_SHARED, fd, 0);
    if (address < 0 && address >= -4095) return nullptr;
    // Not in core dumps: they would carry other programs' exchanges.
    raw_syscall(SYS_madvise, address, size, MADV_DONTDUMP);
    return reinterpret_cast<void*>(address);
}

// A program under a small address-space limit must not lose a noticeable part of it to us.
bool address_space_allows(uint64_t size) noexcept {
    rlimit64 limit{};
    if (raw_syscall(SYS_prlimit64, 0, RLIMIT_AS, 0, &limit) != 0) return false;
    return limit.rlim_cur == RLIM64_INFINITY || size <= limit.rlim_cur / 16;
}

const remora_control* map_control(int fd, const SessionAddress& address) noexcept {
    if (sealed_size(fd) < REMORA_CONTROL_BYTES) return nullptr;
    const auto* control =
        static_cast<const remora_control*>(map_shared(fd, REMORA_CONTROL_BYTES, PROT_READ));
    if (control == nullptr) return nullptr;
    if (control->magic == REMORA_CONTROL_MAGIC && control->abi_version == REMORA_ABI_VERSION &&
        memcmp(control->session, address.id, sizeof(address.id)) == 0)
        return control;
    raw_syscall(SYS_munmap, control, REMORA_CONTROL_BYTES);
    return nullptr;
}

// How many lanes the file has; 0: it is none that we can use.
uint64_t usable_lanes(int fd, const remora_control& control) noexcept {
    const uint64_t size = sealed_size(fd);
    const uint64_t count = size / REMORA_LANE_BYTES;
    if (count > REMORA_LANES_MAX || control.lanes > count) return 0;
    return address_space_allows(size) ? count : 0;
}

// Takes both into session_storage, or neither.
bool map_lanes(int fd, const remora_control* control, const SessionAddress& address) noexcept {
    const uint64_t count = usable_lanes(fd, *control);
    void* lanes =
        count == 0 ? nullptr : map_shared(fd, count * REMORA_LANE_BYTES, PROT_READ | PROT_WRITE);
    if (lanes == nullptr) {
        raw_syscall(SYS_munmap, control, REMORA_CONTROL_BYTES);
        return false;
    }
    session_storage.lanes = static_cast<remora_lane*>(lanes);
    session_storage.lane_count = static_cast<uint32_t>(count);
    session_storage.control = control;
    session_storage.id[0] = address.id[0];
    session_storage.id[1] = address.id[1];
    const uint32_t named = session_storage.control->named_fields;
    session_storage.names_fields = named > 0;
    for (unsigned i = 0; i < 4 && named > 0; ++i)
        session_storage.named[i] =
            named_fields_of(session_storage.control->named, named, static_cast<uint8_t>(1u << i));
    session_storage.active = true;
    return true;
}

// One descriptor at a time: the program's limit may leave room for no more.
bool attach_by_proc(const SessionAddress& address, bool& unreachable) noexcept {
    int fd = open_memfd(address, address.control_fd, REMORA_CONTROL_MEMFD, O_RDONLY);
    unreachable = fd < 0 && fd != -EMFILE && fd != -ENFILE;
    if (fd < 0) return false;
    const remora_control* control = map_control(fd, address);
    raw_syscall(SYS_close, fd);
    if (control == nullptr) return false;
    fd = open_memfd(address, address.lanes_fd, REMORA_LANES_MEMFD, O_RDWR);
    if (fd < 0) {
        raw_syscall(SYS_munmap, control, REMORA_CONTROL_BYTES);
        return false;
    }
    const bool mapped = map_lanes(fd, control, address);
    raw_syscall(SYS_close, fd);
    return mapped;
}

bool attach_by_socket(const SessionAddress& address) noexcept {
    int lanes_fd, control_fd;
    if (!receive_session(address, lanes_fd, control_fd)) return false;
    const remora_control* control = map_control(control_fd, address);
    const bool mapped = control != nullptr && map_lanes(lanes_fd, control, address);
    raw_syscall(SYS_close, lanes_fd);
    raw_syscall(SYS_close, control_fd);
    return mapped;
}

bool read_number(const char*& text, uint32_t limit, char end, uint32_t& out) noexcept {
    uint64_t value = 0;
    const char* start = text;
    for (; ascii_digit(static_cast<uint8_t>(*text)) && text - start < 10; ++text)
        value = value * 10 + static_cast<uint64_t>(*text - '0');
    if (text == start || *text != end || value >= limit) return false;
    ++text;
    out = static_cast<uint32_t>(value);
    return true;
}

}  // namespace

bool parse_session(const char* text, SessionAddress& out) noexcept {
    if (text == nullptr || text[0] != '1' || text[1] != ':') return false;
    text += 2;
    if (!read_number(text, pid_limit, ':', out.agent_pid)) return false;
    if (!read_number(text, fd_limit, ':', out.lanes_fd)) return false;
    if (!read_number(text, fd_limit, ':', out.control_fd)) return false;
    if (strnlen(text, 35) < 32) return false;
    uint8_t bytes[16];
    if (!read_hex(ByteView{text, size_t{32}}, bytes, 16)) return false;
    memcpy(out.id, bytes, sizeof(out.id));
    memcpy(out.id_text, text, 32);
    out.id_text[32] = '\0';
    text += 32;
    out.traceparent_is_ours = text[0] == ':' && text[1] == 't' && text[2] == '\0';
    return out.agent_pid != 0 && (*text == '\0' || out.traceparent_is_ours);
}

bool attach_session(const SessionAddress& address) noexcept {
    bool unreachable = false;
    if (attach_by_proc(address, unreachable)) return true;
    // Another user's process, or another pid namespace, where the number means somebody else.
    return unreachable && attach_by_socket(address);
}

}  // namespace remora::shim
