// SPDX-License-Identifier: Apache-2.0
// For threads of ours: signals belong to the main thread; SIGPIPE and SIGXFSZ come back as EPIPE
// and EFBIG.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace remora {

inline void block_all_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace remora
