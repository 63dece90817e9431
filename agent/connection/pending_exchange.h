// SPDX-License-Identifier: Apache-2.0
// An exchange that is being put together from the bytes of a connection, and the bounded pool they
// come from. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/context/collector.h"
#include "agent/ingest/record_sink.h"
#include "bpf/abi/lanes.h"
#include "bpf/abi/limits.h"

namespace remora {

struct PendingExchange {
    remora_exchange record{};
    uint64_t key = 0;
    uint32_t answer_hint = 0;
    uint32_t answered = 0;  // messages of the batch
    bool decided = false;   // ids and sampling are final; before that nothing is known of it
    bool sampled = false;
    bool one_way = false;
    bool request_done = false;
    bool response_begun = false;
    bool response_done = false;
    bool reported = false;  // as idle: it stays only so that answers find their requests
    ContextCollector collector;
    char tracestate_lines[REMORA_TRACESTATE_MAX];
    uint8_t request[REMORA_REQUEST_CAPTURE_MAX];
    uint8_t response[REMORA_PAYLOAD_MAX];

    // How much of a response fits beside the rest: one record holds them all.
    [[nodiscard]] uint16_t response_limit() const {
        return static_cast<uint16_t>(REMORA_PAYLOAD_MAX - record.request_size -
                                     record.tracestate_size);
    }
    [[nodiscard]] ExchangeView view() const {
        return {record,
                {request, record.request_size},
                collector.tracestate().first(record.tracestate_size),
                {response, record.response_size}};
    }
};

class ExchangePool {
public:
    explicit ExchangePool(size_t limit) : limit_(limit) {}

    // nullptr: as many as may be are in use.
    PendingExchange* take() {
        if (free_.empty()) {
            if (all_.size() >= limit_) return nullptr;
            all_.push_back(std::make_unique<PendingExchange>());
            return all_.back().get();
        }
        PendingExchange* exchange = free_.back();
        free_.pop_back();
        return exchange;
    }
    void give_back(PendingExchange* exchange) { free_.push_back(exchange); }

private:
    size_t limit_;
    std::vector<std::unique_ptr<PendingExchange>> all_;
    std::vector<PendingExchange*> free_;
};

}  // namespace remora
