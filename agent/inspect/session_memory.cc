// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/session_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "agent/base/unique_fd.h"
#include "agent/context/ids.h"

namespace remora {

namespace {

constexpr int descriptors_max = 65536;  // looked at in one process
constexpr std::string_view lanes_link = "/memfd:" REMORA_LANES_MEMFD " (deleted)";
constexpr std::string_view control_link = "/memfd:" REMORA_CONTROL_MEMFD " (deleted)";

bool links_to(const std::string& link, std::string_view wanted) {
    char target[64];
    const ssize_t size = ::readlink(link.c_str(), target, sizeof(target));
    return size > 0 && std::string_view(target, static_cast<size_t>(size)) == wanted;
}

// Reads the memory file behind a link in /proc/<pid>/fd. Between a look at the link and the open
// the number may have become something else: a FIFO must not hold us, and what was opened is looked
// at again.
UniqueFd open_memory(const std::string& link, std::string_view wanted) {
    if (!links_to(link, wanted)) return UniqueFd{};
    UniqueFd fd{::open(link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        !links_to(fmt::format("/proc/self/fd/{}", fd.get()), wanted))
        return UniqueFd{};
    return fd;
}

struct MemoryFiles {
    UniqueFd lanes;
    UniqueFd control;
};

MemoryFiles open_both(int pid) {
    MemoryFiles files;
    const std::string path = fmt::format("/proc/{}/fd", pid);
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(path.c_str()), ::closedir};
    for (int looked = 0; folder && looked < descriptors_max && (!files.lanes || !files.control);
         ++looked) {
        const dirent* entry = ::readdir(folder.get());
        if (entry == nullptr) break;
        if (entry->d_name[0] == '.') continue;
        const std::string link = path + '/' + entry->d_name;
        if (!files.lanes) files.lanes = open_memory(link, lanes_link);
        if (!files.control) files.control = open_memory(link, control_link);
    }
    return files;
}

bool read_whole(int fd, void* out, size_t size, uint64_t offset) {
    return ::pread(fd, out, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

uint64_t inode_of(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

bool read_control(int fd, SessionMemory& out) {
    remora_control control{};
    if (!read_whole(fd, &control, sizeof(control), 0) || control.magic != REMORA_CONTROL_MAGIC)
        return false;
    out.other_version = control.abi_version != REMORA_ABI_VERSION;
    if (out.other_version) return true;
    out.id.assign(32, '0');
    write_hex(reinterpret_cast<const uint8_t*>(control.session), 16, out.id.data());
    out.heartbeat_ns = control.heartbeat_ns;
    out.switches = control.switches;
    out.sampler = control.sampler;
    return true;
}

template <size_t size>
void end_text(char (&text)[size]) {
    text[size - 1] = '\0';
}

uint64_t add_clipped(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

void add_lane(const remora_lane_head& head, std::vector<LaneOwner>& owners) {
    const remora_process& process = head.process;
    auto owner = std::find_if(owners.begin(), owners.end(), [&process](const LaneOwner& known) {
        return known.process.image == process.image && known.process.pid == process.pid &&
               known.process.pid_namespace == process.pid_namespace;
    });
    if (owner == owners.end()) {
        owners.emplace_back();
        owner = owners.end() - 1;
        owner->process = process;
        end_text(owner->process.executable);
        end_text(owner->process.command);
        end_text(owner->process.service_name);
        end_text(owner->process.attributes);
    }
    ++owner->lanes;
    // Taken, and not yet finished.
    owner->open_exchanges += static_cast<uint32_t>(
        std::popcount(~head.free & ~head.done & uint64_t{REMORA_LANE_ALL_FREE}));
    for (unsigned reason = 0; reason < REMORA_LOSS_COUNT; ++reason)
        owner->lost[reason] = add_clipped(owner->lost[reason], head.lost[reason]);
}

}  // namespace

std::optional<SessionMemory> read_session_memory(int agent_pid) {
    const MemoryFiles files = open_both(agent_pid);
    SessionMemory out;
    out.agent_pid = agent_pid;
    if (!files.lanes || !files.control || !read_control(files.control.get(), out))
        return std::nullopt;
    out.lanes_inode = inode_of(files.lanes.get());
    out.control_inode = inode_of(files.control.get());
    if (out.other_version) return out;
    const auto head = std::make_unique<remora_lane_head>();
    for (uint32_t index = 0; index < REMORA_LANES_MAX; ++index) {
        if (!read_whole(files.lanes.get(), head.get(), sizeof(*head),
                        uint64_t{index} * REMORA_LANE_BYTES))
            break;
        const uint32_t state = REMORA_LANE_STATE(head->owner);
        if (state == REMORA_LANE_CLAIMED) add_lane(*head, out.owners);
        if (state == REMORA_LANE_READY || state == REMORA_LANE_ABSENT) ++out.lanes_left;
    }
    return out;
}

}  // namespace remora
