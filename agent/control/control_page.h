// SPDX-License-Identifier: Apache-2.0
// The page of bpf/abi/control.h, as the agent sees it. Only the agent can write it: sealed against
// later writable mappings (F_SEAL_FUTURE_WRITE, Linux 5.1), on older kernels by its mode.
//
// beat() and retire() may be called from any thread; the rest is not thread-safe.
#pragma once

#include <cstdint>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/config/config.h"
#include "agent/control/session.h"
#include "bpf/abi/control.h"

namespace remora {

class ControlPage {
public:
    // lanes: how many the lane file has.
    static Result<ControlPage> create(const SessionId& id, uint32_t lanes);

    ControlPage(ControlPage&& other) noexcept;
    ControlPage& operator=(ControlPage&&) = delete;
    ~ControlPage();

    // A descriptor that can't write, fit to be given away.
    [[nodiscard]] int fd() const { return read_only_.get(); }

    // What running programs shall do from their next request on. The header fields of the
    // configuration are read once by each program: they are published before the first one starts.
    void publish(const Config& config, bool process_spans);
    // Somebody is reading the lanes; at least every 500 ms.
    void beat();
    // Nobody is reading them any more: programs notice at their next request.
    void retire();

private:
    ControlPage() = default;

    UniqueFd read_only_;
    remora_control* page_ = nullptr;
};

}  // namespace remora
