// SPDX-License-Identifier: Apache-2.0
// The functions that our wrappers stand in front of: real::read(fd, data, size) calls the next
// definition after ours, usually libc's. One load and an indirect call, from the first instruction
// of the process to its last: each pointer starts at a stub that resolves itself and calls on.
//
// Any thread, any time. The first call of a function that resolve_all() has not seen calls dlsym.
// A function that this libc is too old for becomes its raw system call, never an invented error.
#pragma once

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace remora::real {

#define REMORA_HOOK(result, name, parameters, arguments) extern result(*name) parameters;
#include "preload/hooks.def"

// Resolves every function now: from the constructor, so that nothing calls dlsym later. Keeps
// errno.
void resolve_all() noexcept;

}  // namespace remora::real

// In front of a wrapper: REMORA_WRAPPER ssize_t read(int fd, void* data, size_t size) { ... }
// The shim is built with hidden visibility; this and exports.map let hooks out and nothing else.
#define REMORA_WRAPPER extern "C" __attribute__((visibility("default"), used))
