// SPDX-License-Identifier: Apache-2.0
#include "agent/base/close_range.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace remora {

namespace {

void close_between(unsigned first, unsigned last) {
    if (first > last) return;
    if (::syscall(SYS_close_range, first, last, 0) == 0) return;
    for (const int fd : open_descriptors())
        if (static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last) ::close(fd);
}

}  // namespace

void close_all_but(std::initializer_list<int> kept) {
    std::vector<int> sorted{kept};
    std::sort(sorted.begin(), sorted.end());
    unsigned next = 0;
    for (const int fd : sorted) {
        if (fd > 0) close_between(next, static_cast<unsigned>(fd) - 1);
        next = static_cast<unsigned>(fd) + 1;
    }
    close_between(next, ~0U);
}

std::vector<int> open_descriptors() {
    std::vector<int> found;
    DIR* folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return found;
    const int own = ::dirfd(folder);
    while (const dirent* entry = ::readdir(folder)) {
        char* end = nullptr;
        const long fd = std::strtol(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && fd != own)
            found.push_back(static_cast<int>(fd));
    }
    ::closedir(folder);
    std::sort(found.begin(), found.end());
    return found;
}

}  // namespace remora
