// SPDX-License-Identifier: Apache-2.0
// What happens on one connection of the ingress torture: the same for the server, which runs under
// the shim, and for the client, which checks.
#pragma once

#include "tests/preload/torture/support/http_stream.h"
#include "tests/preload/torture/support/random_receiver.h"
#include "tests/preload/torture/support/random_sender.h"

namespace torture {

struct IngressPlan {
    Stream stream;
    bool pipelined = false;
    SendPlan sending;  // the server's
    ReceivePlan receiving;
    bool early_answers = false;  // once the head is there
    size_t client_piece = 0;     // what the client sends at once, at most
    bool half_close = false;
    Random rest{0};
};

inline IngressPlan ingress_plan(uint64_t seed, unsigned connection) {
    Random random = Random::of(seed, connection);
    IngressPlan plan;
    plan.receiving = ReceivePlan::of(random);
    plan.sending = SendPlan::of(random);
    plan.sending.waiting = plan.receiving.waiting == Waiting::blocking
                               ? Waiting::blocking
                               : random.pick({Waiting::poll, Waiting::edge});
    plan.pipelined = random.chance(40);
    plan.early_answers = random.chance(10);
    plan.client_piece = random.pick<size_t>({1, 5, 200, 1400, 100'000, 100'000, 100'000});
    plan.half_close = random.chance(50);
    StreamOptions options;
    options.prefix = "/i" + std::to_string(connection);
    options.max_requests = 6;
    options.pipelined = plan.pipelined;
    if (plan.receiving.max_piece <= 7 || plan.sending.max_piece <= 4 || plan.client_piece <= 5) {
        options.max_requests = 3;
        options.max_body = 1500;
        options.max_head = 3000;
    }
    plan.stream = make_stream(random, options);
    plan.rest = Random(random.next());
    return plan;
}

// Where a response's content stands, if it may go by sendfile().
inline std::vector<RandomSender::Range> content_of(const Response& response) {
    const size_t head_end = response.bytes.find("\r\n\r\n", response.interim_size) + 4;
    if (response.bytes.size() - head_end != response.content || response.content == 0) return {};
    return {{head_end, response.bytes.size()}};
}

}  // namespace torture
