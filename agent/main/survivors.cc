// SPDX-License-Identifier: Apache-2.0
#include "agent/main/survivors.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "agent/ingest/proc_files.h"
#include "bpf/abi/control.h"

namespace remora {

using namespace std::chrono_literals;

Survivors::Survivors(const LaneSource& source)
    : source_(source), session_(REMORA_SESSION_VARIABLE "=1:" + std::to_string(::getpid()) + ":") {
    if (const auto stat = read_process_stat(::getpid())) our_start_ns_ = stat->start_ns;
}

bool Survivors::is_ours(int pid) const {
    const auto stat = read_process_stat(pid);
    if (!stat || stat->start_ns < our_start_ns_) return false;
    // Of another user's process we can't know. In the middle of an exec it has the variable, but
    // has not mapped the lanes yet.
    return process_maps(pid, REMORA_LANES_MEMFD, source_.file().inode()).value_or(true) ||
           process_has_variable(pid, session_.c_str()).value_or(false);
}

size_t Survivors::lane_holders() {
    std::unordered_map<int, bool> now;
    size_t count = 0;
    for (const int pid : source_.live_pids()) {
        const auto before = known_.find(pid);
        const bool ours = (before != known_.end() && before->second) || is_ours(pid);
        now[pid] = ours;
        if (ours) ++count;
    }
    known_ = std::move(now);
    return count;
}

// A daemon forks twice in a row, and may always be the one that is not on our list yet; a job in
// the background may be between its exec and the first line of the shim.
void Survivors::find_mapped() {
    constexpr int looks = 10;
    constexpr int looks_at_starting = 6;  // 63 ms in all
    for (int look = 0; look < looks && mapped_.empty(); ++look) {
        const MappingProcesses found = processes_that_map(
            REMORA_LANES_MEMFD, source_.file().inode(), our_start_ns_, session_.c_str());
        for (const int pid : found.pids)
            if (auto process = ProcessHandle::open(pid)) mapped_.push_back(std::move(*process));
        // Of those that were found one may have ended since, and left another.
        const bool starting = found.starting && look < looks_at_starting;
        if (!found.uncertain && !starting && found.pids.empty()) return;
        if (starting && mapped_.empty()) std::this_thread::sleep_for(1ms * (1 << look));
    }
}

size_t Survivors::count() {
    std::erase_if(mapped_, [](const ProcessHandle& process) { return process.ended(); });
    const size_t holders = lane_holders();
    if (holders == 0 && mapped_.empty()) find_mapped();
    return std::max(holders, mapped_.size());
}

}  // namespace remora
