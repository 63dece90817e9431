// SPDX-License-Identifier: Apache-2.0
// What happens on one connection of the egress torture: the same for the client, which runs under
// the shim, and for the peer, which checks.
#pragma once

#include "tests/preload/torture/support/http_stream.h"
#include "tests/preload/torture/support/random_receiver.h"
#include "tests/preload/torture/support/random_sender.h"

namespace torture {

struct EgressPlan {
    Stream stream;
    bool pipelined = false;
    SendPlan sending;
    ReceivePlan receiving;
    int send_buffer = 0;  // SO_SNDBUF, 0: the default
    bool half_close = false;
    bool slow_peer = false;
    Random rest{0};  // for whatever else is left to chance
};

inline EgressPlan egress_plan(uint64_t seed, unsigned connection) {
    Random random = Random::of(seed, connection);
    EgressPlan plan;
    plan.sending = SendPlan::of(random);
    plan.receiving = ReceivePlan::of(random);
    plan.receiving.waiting = plan.sending.waiting == Waiting::blocking
                                 ? Waiting::blocking
                                 : random.pick({Waiting::poll, Waiting::edge});
    plan.pipelined = random.chance(40);
    plan.send_buffer = random.pick({0, 0, 1, 2304, 4608});
    plan.half_close = random.chance(50);
    plan.slow_peer = random.chance(30);
    StreamOptions options;
    options.prefix = "/e" + std::to_string(connection);
    options.max_requests = 6;
    options.pipelined = plan.pipelined;
    // A crowd: where a full socket cuts a call, it is often within a line of ours.
    if (random.chance(15)) {
        plan.sending.waiting = random.pick({Waiting::poll, Waiting::edge});
        plan.receiving.waiting = plan.sending.waiting;
        plan.sending.max_piece = 100'000;
        plan.send_buffer = 1;
        plan.slow_peer = plan.pipelined = options.pipelined = options.bare = true;
        options.max_requests = 24;
        options.odd = false;
    } else if (plan.sending.max_piece <= 4) {
        options.max_requests = 3;
        options.max_body = 1500;
        options.max_head = 3000;
    }
    plan.stream = make_stream(random, options);
    plan.rest = Random(random.next());
    return plan;
}

}  // namespace torture
