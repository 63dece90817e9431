// SPDX-License-Identifier: Apache-2.0
// The process's own environment. libc starts some programs out of our sight (system, popen) and
// hands them `environ` as it is; right before, TRACEPARENT there comes to name the process span.
#pragma once

namespace remora::shim {

// Writes over the 55 characters of a TRACEPARENT in `environ` that was inherited, never over one
// that the program has chosen; moves nothing, adds nothing (who starts a program gives it an entry,
// no_traceparent where there is nothing to say). Always the same text for all threads, so that a
// race between them can't make a wrong parent: the process span where it may be one, else what the
// user brought, else no_traceparent. Reads `environ` as unguarded as system() itself is about to.
void prepare_own_environment() noexcept;

// A TRACEPARENT that is none: all ids are zero, which every reader must ignore (Trace Context 2,
// 3.2.2.3 and 3.2.2.4).
extern const char* const no_traceparent;

}  // namespace remora::shim
