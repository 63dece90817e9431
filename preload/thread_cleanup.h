// SPDX-License-Identifier: Apache-2.0
// Around a call that may not come back: the thread is cancelled in it, or a signal handler leaves
// it by longjmp. No destructor could notice, but glibc's own list of cleanups does, with the frames
// of the call still there; it costs two stores.
//
// Still part of glibc's interface for the libraries that were built with its old headers, and of
// musl's. The newer form needs a jump buffer for each call, or exceptions.
#pragma once

#include <pthread.h>

extern "C" void _pthread_cleanup_push(_pthread_cleanup_buffer*, void (*)(void*), void*) noexcept;
extern "C" void _pthread_cleanup_pop(_pthread_cleanup_buffer*, int) noexcept;
