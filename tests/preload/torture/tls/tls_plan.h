// SPDX-License-Identifier: Apache-2.0
// How TLS is spoken on one connection of the torture: the same for the program under the shim and
// for the peer that checks. What is said inside is the plan of the plain torture.
#pragma once

#include <cstdint>

#include "tests/preload/torture/support/random.h"

namespace torture {

// Where the program's TLS library finds and leaves its records.
enum class Transport { socket, memory, pair };  // pair: BIO_new_bio_pair(), which can be full

struct TlsPlan {
    bool newest = true;  // TLS 1.3; else 1.2
    Transport transport = Transport::socket;
    size_t pair_room = 0;
    bool extended_calls = false;   // SSL_write_ex, SSL_read_ex, SSL_peek_ex
    bool partial_writes = false;   // SSL_MODE_ENABLE_PARTIAL_WRITE
    bool moving_buffer = false;    // SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, and it does move
    bool growing_retries = false;  // a write that is tried again may be longer than it was
    bool auto_retry = true;        // SSL_MODE_AUTO_RETRY
    bool read_ahead = false;
    bool peeks = false;
    bool reads_while_writing = false;  // between a WANT_WRITE and its retry
    bool renegotiates = false;         // 1.2: by the program, while nothing is under way
    bool key_updates = false;          // 1.3: by both
    bool corks = false;                // GnuTLS: some writes go by cork and uncork
    bool resumes_by_nothing = false;   // GnuTLS: a retry without the bytes, which it has
    enum class Origin { fresh, copied, cleared } origin = Origin::fresh;  // SSL_new, _dup, _clear
    size_t max_piece = 65'536;  // of a read; writes follow the plain plan

    static TlsPlan of(uint64_t seed, unsigned connection) {
        Random random = Random::of(seed ^ 0x715, connection);
        TlsPlan plan;
        plan.newest = random.chance(60);
        plan.transport =
            random.pick({Transport::socket, Transport::socket, Transport::memory, Transport::pair});
        plan.pair_room = random.pick<size_t>({300, 2000, 17'000, 40'000});
        plan.extended_calls = random.chance(40);
        plan.partial_writes = random.chance(40);
        plan.moving_buffer = random.chance(40);
        plan.growing_retries = random.chance(30);
        plan.auto_retry = random.chance(60);
        plan.read_ahead = random.chance(30);
        plan.peeks = random.chance(25);
        plan.reads_while_writing = random.chance(40);
        plan.renegotiates = !plan.newest && random.chance(40);
        plan.corks = random.chance(10);
        // GnuTLS itself gets confused by a key update while it is corked.
        plan.key_updates = plan.newest && !plan.corks && random.chance(40);
        plan.origin = random.pick({Origin::fresh, Origin::copied, Origin::cleared});
        plan.resumes_by_nothing = random.chance(15);
        plan.max_piece = random.pick<size_t>({1, 7, 300, 4096, 16'384, 65'536, 65'536});
        return plan;
    }
};

}  // namespace torture
