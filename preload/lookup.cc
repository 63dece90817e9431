// SPDX-License-Identifier: Apache-2.0
// Lookups that wait for their connect. A list of fixed size; the oldest one makes room.
#include <netinet/in.h>

#include <cstring>

#include "preload/lane_writer.h"
#include "preload/opening_state.h"
#include "preload/process_state.h"
#include "preload/session.h"
#include "preload/thread_state.h"

namespace remora::shim {
namespace {

constexpr unsigned most_waiting = 32;
uint32_t waiting[most_waiting];  // openings, oldest first
unsigned waiting_count = 0;
uint32_t waiting_epoch = 0;

void remove(unsigned place) noexcept {
    const uint32_t index = waiting[place];
    for (unsigned i = place; i + 1 < waiting_count; ++i) waiting[i] = waiting[i + 1];
    --waiting_count;
    opening_at(index).pending = false;
}

// No connect has followed. What failed before stands; nobody else will see to it.
void expire(unsigned place, uint64_t now) noexcept {
    const uint32_t index = waiting[place];
    remove(place);
    Opening& opening = opening_at(index);
    if (opening.users > 0) return;
    if (opening.told.failed > 0) finish_connect_span(opening, now);
    free_opening(index);
}

// The others stay until there is no more room: a connect that began in time may still be waiting in
// its call, and nobody knows where to until it returns.
void expire_failed(uint64_t now) noexcept {
    if (waiting_epoch != process_epoch()) {  // our parent's
        waiting_count = 0;
        waiting_epoch = process_epoch();
    }
    for (unsigned i = waiting_count; i-- > 0;) {
        const Opening& opening = opening_at(waiting[i]);
        if (opening.users == 0 && opening.told.failed > 0 &&
            opening.used_ns + lookup_lifetime_ns < now)
            expire(i, now);
    }
}

// The place of this address among those that no connect has tried; -1: not there, or the connect
// began too late to be this lookup's.
int untried(const Opening& opening, const remora_address& peer, uint64_t began_ns) noexcept {
    if (opening.used_ns + lookup_lifetime_ns < began_ns) return -1;
    for (unsigned i = 0; i < opening.found.count; ++i)
        if (opening.found.list[i].family == peer.family && (opening.tried >> i & 1) == 0 &&
            memcmp(opening.found.list[i].bytes, peer.bytes, sizeof(peer.bytes)) == 0)
            return static_cast<int>(i);
    return -1;
}

}  // namespace

void HostAddresses::add(int family, const void* bytes) noexcept {
    HostAddress address;
    if (family == AF_INET) {
        address.family = AF_INET;
        memcpy(address.bytes, bytes, 4);
    } else if (family == AF_INET6) {
        static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
            return add(AF_INET, static_cast<const uint8_t*>(bytes) + sizeof(mapped));
        address.family = AF_INET6;
        memcpy(address.bytes, bytes, sizeof(address.bytes));
    } else {
        return;
    }
    for (unsigned i = 0; i < count; ++i)
        if (list[i].family == address.family &&
            memcmp(list[i].bytes, address.bytes, sizeof(address.bytes)) == 0)
            return;
    if (count == most)
        more = true;
    else
        list[count++] = address;
}

void HostAddresses::add(const sockaddr* address, socklen_t size) noexcept {
    if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in))
        add(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
    else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6))
        add(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

void note_lookup(const char* host, uint64_t start_ns, uint64_t end_ns,
                 const HostAddresses& found) noexcept {
    if (found.count == 0 || !recording()) return;
    if (!hold_openings()) return;
    expire_failed(end_ns);
    if (waiting_count == most_waiting) expire(0, end_ns);
    if (const uint32_t index = new_opening()) {
        Opening& opening = opening_at(index);
        opening.told.lookup_start_ns = start_ns;
        opening.told.lookup_end_ns = opening.used_ns = end_ns;
        memcpy(opening.told.host, host, strnlen(host, sizeof(opening.told.host) - 1));
        opening.found = found;
        opening.thread = &thread_state;
        opening.pending = true;
        waiting[waiting_count++] = index;
    }
    release_openings();
}

uint32_t take_lookup(const remora_address& peer, uint64_t began_ns) noexcept {
    expire_failed(began_ns);
    uint32_t oldest = 0, own = 0;
    unsigned matches = 0;
    bool one_host = true;
    for (unsigned i = 0; i < waiting_count; ++i) {
        const uint32_t index = waiting[i];
        const Opening& opening = opening_at(index);
        if (untried(opening, peer, began_ns) < 0) continue;
        ++matches;
        if (oldest == 0) oldest = index;
        if (own == 0 && opening.thread == &thread_state) own = index;
        one_host = one_host && strncmp(opening.told.host, opening_at(oldest).told.host,
                                       sizeof(opening.told.host)) == 0;
    }
    if (matches == 0) return 0;
    if (matches > 1) {
        // Which of them? Each is without a lookup to tell from here on, and who takes one takes it
        // off the list, so that the next connect finds as many as there are left.
        for (unsigned i = 0; i < waiting_count; ++i) {
            Opening& opening = opening_at(waiting[i]);
            if (untried(opening, peer, began_ns) < 0) continue;
            opening.uncertain = true;
            if (!one_host) memset(opening.told.host, 0, sizeof(opening.told.host));
        }
    }
    const uint32_t index = own != 0 ? own : oldest;
    Opening& opening = opening_at(index);
    opening.tried |= 1u << untried(opening, peer, began_ns);
    return index;
}

void stop_waiting(uint32_t index) noexcept {
    for (unsigned i = 0; i < waiting_count; ++i)
        if (waiting[i] == index) return remove(i);
}

bool fallback_may_follow(const Opening& opening) noexcept {
    if (!opening.pending) return false;
    return opening.found.more || opening.tried + 1 != 1u << opening.found.count;
}

}  // namespace remora::shim
