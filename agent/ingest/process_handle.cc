// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/process_handle.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "agent/ingest/proc_files.h"

namespace remora {

namespace {
constexpr auto wait_for_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, Linux 5.4

// linux/pidfd.h of Linux 6.15: asks a pidfd about its process, which may be gone and forgotten.
struct PidfdInfo {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];  // pid, tgid, ppid and users, which nobody asked for
    int32_t wait_status;
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0");
constexpr unsigned long get_pidfd_info = _IOWR(0xff, 11, PidfdInfo);
constexpr uint64_t info_exit = 1u << 3;  // PIDFD_INFO_EXIT
}  // namespace

std::optional<ProcessHandle> ProcessHandle::open(int host_pid) {
    ProcessHandle handle;
    handle.host_pid_ = host_pid;
    handle.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, host_pid, 0)));
    if (!handle.pidfd_ && errno == ESRCH) return std::nullopt;
    // Read after the pidfd is open, so that it is of the process that the pidfd stands for.
    if (const auto stat = read_process_stat(host_pid))
        handle.start_ns_ = stat->start_ns;
    else if (!handle.pidfd_)
        return std::nullopt;
    return handle;
}

std::optional<ProcessHandle> ProcessHandle::find(const remora_process& process,
                                                 uint64_t own_namespace) {
    const bool foreign =
        process.pid_namespace != 0 && own_namespace != 0 && process.pid_namespace != own_namespace;
    const int host_pid =
        foreign ? find_host_pid(process.pid, process.pid_namespace) : static_cast<int>(process.pid);
    if (host_pid <= 0) return std::nullopt;
    auto handle = open(host_pid);
    if (handle && handle->start_ns_ > process.claimed_boot_ns) return std::nullopt;
    return handle;
}

bool ProcessHandle::ended() const {
    if (pidfd_) {
        pollfd readable{pidfd_.get(), POLLIN, 0};
        return ::poll(&readable, 1, 0) > 0;
    }
    const auto stat = read_process_stat(host_pid_);
    return !stat || stat->start_ns != start_ns_ || stat->state == 'Z';
}

std::optional<int> ProcessHandle::exit_code() const {
    if (const auto code = waited_status()) return code;
    // Its parent asks now, or has asked: before that /proc knows, after it the pidfd.
    if (const auto stat = read_process_stat(host_pid_);
        stat && stat->state == 'Z' && stat->start_ns == start_ns_ && stat->wait_status)
        return exit_code_of(*stat->wait_status);
    return reaped_status();
}

std::optional<int> ProcessHandle::waited_status() const {
    siginfo_t info{};
    if (!pidfd_ ||
        ::waitid(wait_for_pidfd, static_cast<id_t>(pidfd_.get()), &info,
                 WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
        return std::nullopt;
    return exit_code_of(info.si_code, info.si_status);
}

std::optional<int> ProcessHandle::reaped_status() const {
    PidfdInfo info{};
    info.mask = info_exit;
    if (!pidfd_ || ::ioctl(pidfd_.get(), get_pidfd_info, &info) != 0 ||
        (info.mask & info_exit) == 0)
        return std::nullopt;
    return exit_code_of(info.wait_status);
}

int exit_code_of(int code, int status) { return code == CLD_EXITED ? status : 128 + status; }

int exit_code_of(int wait_status) {
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

}  // namespace remora
