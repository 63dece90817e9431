// SPDX-License-Identifier: Apache-2.0
// From the bytes of connections to exchanges, for producers that send bytes (the probes): open,
// data and close records go in, and what the shim would have made of them comes out as exchanges.
// Records of other kinds pass through.
//
// All calls from one thread. Memory is bounded by the number of connections and of open exchanges;
// what goes beyond is not followed, and counted.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "agent/connection/connection.h"
#include "agent/connection/pending_exchange.h"
#include "agent/context/ids.h"
#include "agent/context/sampler.h"
#include "agent/ingest/record_sink.h"

namespace remora {

struct AssemblerOptions {
    Sampler sampler;  // of exchanges for which the producer has not decided
    std::vector<remora_named_field> named_fields;  // whose values are captured
    bool trace_telemetry = false;                  // exports and scrapes are recorded, too
    size_t connections_max = 16384;
    size_t exchanges_max = 8192;
    uint64_t idle_limit_ns = 300'000'000'000;
    uint64_t seed[4] = {};  // of the ids; zeros: from the kernel
};

class ConnectionAssembler : public RecordSink {
public:
    // next is the caller's and outlives this.
    ConnectionAssembler(const AssemblerOptions& options, RecordSink& next);

    void on_clock(const ClockOffset& clock) override { next_.on_clock(clock); }
    void on_process(const remora_process& process) override;
    void on_exchange(const ExchangeView& exchange) override { next_.on_exchange(exchange); }
    void on_open(const remora_open_record& record) override;
    void on_data(const remora_data_record& record, ByteView bytes) override;
    void on_close(const remora_close_record& record) override;
    void on_loss(remora_loss reason, uint64_t count) override { next_.on_loss(reason, count); }

    // Ends everything that is open as unfollowed. Idempotent.
    void stop();

    [[nodiscard]] size_t connections() const { return connections_.size(); }

private:
    struct Key {
        uint64_t image;
        uint64_t connection;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const {
            return std::hash<uint64_t>{}((key.image * 0x9e3779b97f4a7c15u) ^ key.connection);
        }
    };

    Connection* find_or_add(uint64_t image, uint64_t connection);
    void look_for_idle(uint64_t now);

    AssemblerOptions options_;
    RecordSink& next_;
    IdGenerator ids_;
    ExchangePool pool_;
    std::unordered_map<Key, std::unique_ptr<Connection>, KeyHash> connections_;
    uint64_t now_ns_ = 0;  // the records' clock
    uint64_t idle_checked_ns_ = 0;
};

}  // namespace remora
