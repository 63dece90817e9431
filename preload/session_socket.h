// SPDX-License-Identifier: Apache-2.0
// The second way to the session's memory: the abstract unix socket of bpf/abi/control.h, for
// processes that may not look into the agent's /proc/<pid>/fd.
#pragma once

#include "preload/session.h"

namespace remora::shim {

// Both descriptors, close-on-exec; the caller closes them. false: no agent answers within 100 ms,
// or a seccomp filter is (or may be) in force, under which a socket call could be fatal. Keeps
// errno.
bool receive_session(const SessionAddress& address, int& lanes, int& control) noexcept;

}  // namespace remora::shim
