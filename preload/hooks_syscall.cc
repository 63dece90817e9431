// SPDX-License-Identifier: Apache-2.0
// Hook of the variadic syscall(): libuv closes descriptors with it, sandboxes install their filters,
// and some libraries move bytes past the functions that we stand in front of.
#include <sys/syscall.h>

#include <cerrno>
#include <cstdarg>

#include "preload/conn.h"
#include "preload/descriptors.h"
#include "preload/process_state.h"
#include "preload/real.h"

namespace remora::shim {
namespace {

// Bytes moved unseen: what follows on this connection can't be parsed.
void moved_unseen(long fd) noexcept {
    Conn* conn = known_conn(static_cast<int>(fd));
    if (conn != nullptr && !in_vfork_child()) bytes_go_past_us(*conn);
}

void before(long number, const long (&words)[6]) noexcept {
    switch (number) {
        case SYS_close: note_closing(static_cast<int>(words[0])); break;
        case SYS_read:
        case SYS_write:
        case SYS_readv:
        case SYS_writev:
        case SYS_sendto:
        case SYS_recvfrom:
        case SYS_sendmsg:
        case SYS_recvmsg:
        case SYS_sendmmsg:
        case SYS_recvmmsg:
        case SYS_sendfile: moved_unseen(words[0]); break;
        case SYS_splice: moved_unseen(words[0]); moved_unseen(words[2]); break;
        default: break;
    }
}

void after(long number, const long (&words)[6], long result) noexcept {
    if (result < 0) return;
    switch (number) {
        case SYS_close_range:
            if ((words[2] & (1 << 2)) == 0)
                note_closing_range(static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]));
            break;
        case SYS_dup:
        case SYS_dup2:
        case SYS_dup3: note_duplicated(static_cast<int>(words[0]), static_cast<int>(result)); break;
        case SYS_socket:
        case SYS_accept:
        case SYS_accept4:
        case SYS_pidfd_getfd: note_unknown(static_cast<int>(result)); break;
        default: break;
    }
}

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER long syscall(long number, ...) noexcept {
    va_list list;
    va_start(list, number);
    long words[6];
    for (long& word : words) word = va_arg(list, long);
    va_end(list);
    int saved = errno;
    note_system_call(number, words[0], words[1]);
    before(number, words);
    errno = saved;
    const long result =
        real::syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    saved = errno;
    after(number, words, result);
    errno = saved;
    return result;
}
