// SPDX-License-Identifier: Apache-2.0
#include "agent/main/survivors.h"

#include <unistd.h>

#include <algorithm>

#include "agent/ingest/proc_files.h"
#include "bpf/abi/control.h"

namespace remora {

Survivors::Survivors(const LaneSource& source) : source_(source) {
    if (const auto stat = read_process_stat(::getpid())) our_start_ns_ = stat->start_ns;
}

size_t Survivors::count() {
    std::erase_if(mapped_, [](const ProcessHandle& process) { return process.ended(); });
    if (source_.live_processes() == 0 && mapped_.empty())
        for (const int pid :
             processes_that_map(REMORA_LANES_MEMFD, source_.file().inode(), our_start_ns_))
            if (auto process = ProcessHandle::open(pid)) mapped_.push_back(std::move(*process));
    return std::max(source_.live_processes(), mapped_.size());
}

}  // namespace remora
