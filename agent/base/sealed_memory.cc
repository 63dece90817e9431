// SPDX-License-Identifier: Apache-2.0
#include "agent/base/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; some hosts refuse memfds without it
#endif

namespace remora {

Result<UniqueFd> create_sealable_memory(const char* name) {
    constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    UniqueFd fd{::memfd_create(name, flags | MFD_NOEXEC_SEAL)};
    if (!fd && errno == EINVAL) fd.reset(::memfd_create(name, flags));
    if (!fd) return Error{std::string("cannot create shared memory (memfd ") + name + ")", errno};
    // Programs may have given up our user: they open it by its path below /proc.
    if (::fchmod(fd.get(), 0666) != 0)
        return Error{std::string("cannot share the memory file ") + name, errno};
    return fd;
}

Status seal_memory(int fd, int seals) {
    if (::fcntl(fd, F_ADD_SEALS, seals) != 0) return Error{"cannot seal shared memory", errno};
    return Done{};
}

}  // namespace remora
