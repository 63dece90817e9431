// SPDX-License-Identifier: Apache-2.0
// Hooks of the calls that look up a host's name. What they found is told to the connects that
// follow (opening.h); a lookup that fails, or that no connect follows, is told to nobody.
//
// Not hooked: getaddrinfo_a, whose results come by another thread, and res_query and its kin, which
// answer other questions. Programs with a resolver of their own (c-ares, nginx, haproxy) have no
// lookup that could be seen.
#include <arpa/inet.h>
#include <netdb.h>

#include <cerrno>
#include <cstring>

#include "preload/opening.h"
#include "preload/process_state.h"
#include "preload/real.h"
#include "preload/session.h"
#include "preload/thread_cleanup.h"
#include "preload/thread_state.h"
#include "preload/user_pointer.h"

namespace remora::shim {
namespace {

// An address in text needs no lookup. inet_aton knows all of IPv4's old forms.
bool is_address(const char* host) noexcept {
    in_addr ignored;
    return strchr(host, ':') != nullptr || ::inet_aton(host, &ignored) != 0;
}

void left(void*) noexcept { thread_state.resolving = false; }

// One lookup; libc's resolver may load modules whose connections pass our hooks.
struct Lookup {
    _pthread_cleanup_buffer cleanup;
    const char* host = nullptr;  // nullptr: not to be told
    uint64_t start_ns = 0;

    void begin(const char* name) noexcept {
        if (!session().active || thread_state.resolving || !plausible(name)) return;
        host = name;
        start_ns = monotonic_now();
        thread_state.resolving = true;
        _pthread_cleanup_push(&cleanup, left, nullptr);
    }
    // true: what was found is to be told.
    bool end(bool found) noexcept {
        if (host == nullptr) return false;
        _pthread_cleanup_pop(&cleanup, 0);
        thread_state.resolving = false;
        if (!found) return false;
        const int saved = errno;
        notice_fork();
        const bool name = host[0] != 0 && !is_address(host);
        errno = saved;
        return name;
    }
    void tell(const HostAddresses& found) const noexcept {
        note_lookup(host, start_ns, monotonic_now(), found);
    }
    void tell(const hostent& entry) const noexcept {
        HostAddresses found;
        const int wanted = entry.h_addrtype == AF_INET6 ? 16 : 4;
        if (entry.h_length == wanted && entry.h_addr_list != nullptr)
            for (char** at = entry.h_addr_list; *at != nullptr; ++at)
                found.add(entry.h_addrtype, *at);
        tell(found);
    }
};

}  // namespace
}  // namespace remora::shim

using namespace remora;
using namespace remora::shim;

REMORA_WRAPPER int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                               addrinfo** result) {
    Lookup lookup;
    lookup.begin(host);
    const int code = real::getaddrinfo(host, service, hints, result);
    if (lookup.end(code == 0)) {
        HostAddresses found;
        for (const addrinfo* at = *result; at != nullptr; at = at->ai_next)
            if (at->ai_addr != nullptr) found.add(at->ai_addr, at->ai_addrlen);
        lookup.tell(found);
    }
    return code;
}

REMORA_WRAPPER hostent* gethostbyname(const char* host) {
    Lookup lookup;
    lookup.begin(host);
    hostent* entry = real::gethostbyname(host);
    if (lookup.end(entry != nullptr)) lookup.tell(*entry);
    return entry;
}

REMORA_WRAPPER hostent* gethostbyname2(const char* host, int family) {
    Lookup lookup;
    lookup.begin(host);
    hostent* entry = real::gethostbyname2(host, family);
    if (lookup.end(entry != nullptr)) lookup.tell(*entry);
    return entry;
}

REMORA_WRAPPER int gethostbyname_r(const char* host, hostent* entry, char* buffer, size_t size,
                                   hostent** result, int* error) {
    Lookup lookup;
    lookup.begin(host);
    const int code = real::gethostbyname_r(host, entry, buffer, size, result, error);
    if (lookup.end(code == 0 && *result != nullptr)) lookup.tell(**result);
    return code;
}

REMORA_WRAPPER int gethostbyname2_r(const char* host, int family, hostent* entry, char* buffer,
                                    size_t size, hostent** result, int* error) {
    Lookup lookup;
    lookup.begin(host);
    const int code = real::gethostbyname2_r(host, family, entry, buffer, size, result, error);
    if (lookup.end(code == 0 && *result != nullptr)) lookup.tell(**result);
    return code;
}
