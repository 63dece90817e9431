// SPDX-License-Identifier: Apache-2.0
// One connection whose bytes a producer sends: which protocol it speaks, its two streams of
// messages, and the exchanges that they make. The agent's counterpart of preload/stream.h and
// exchange_life.h; what differs is that nothing is rewritten and bytes can be missing.
//
// Not thread-safe. Bounded: the bytes of a protocol's detection, held bytes up to a limit, and at
// most open_max exchanges from the pool.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "agent/connection/pending_exchange.h"
#include "agent/context/ids.h"
#include "agent/context/sampler.h"
#include "agent/ingest/record_sink.h"
#include "agent/protocol/protocol.h"

namespace remora {

// What all connections of an assembler share; the assembler's.
struct ConnectionWorld {
    RecordSink& next;
    ExchangePool& pool;
    IdGenerator& ids;
    const Sampler& sampler;
    const std::vector<remora_named_field>& named_fields;
    bool trace_telemetry;
};

class Connection {
public:
    static constexpr size_t open_max = 512;
    static constexpr size_t held_max = size_t{64} << 10;

    Connection(const ConnectionWorld& world, uint64_t image, uint64_t connection)
        : world_(world), image_(image), connection_(connection) {}
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void opened(const remora_open_record& record);
    void data(const remora_data_record& record, ByteView bytes);
    void closed(const remora_close_record& record);
    // Ends what is open, in the way that is said, and follows no further.
    void end(remora_end how, int error_number, uint64_t now);
    // Reports exchanges in which nothing has moved since `limit`, as idle.
    void end_idle(uint64_t limit);

    [[nodiscard]] uint64_t activity_ns() const { return activity_ns_; }
    [[nodiscard]] bool has_open_exchanges() const { return !open_.empty(); }

private:
    struct Stream {
        ParserState parser;
        Message message;
        PendingExchange* current = nullptr;  // whose message is being parsed
        MessageKind kind = MessageKind::request;
        bool in_message = false;
        bool cut = false;       // its capture was cut: counted once
        bool started = false;   // `position` is known
        uint64_t position = 0;  // of the next byte
    };
    enum class Follow : uint8_t { fresh, following, nothing };

    // Bytes that belong together, and what is known of them.
    void feed(Stream& stream, ByteView bytes);
    [[nodiscard]] NamedFields named_fields(MessageKind kind) const;
    void parse_all(Stream& stream, ByteView input);
    void unseen(Stream& stream, uint64_t count, remora_loss reason);
    bool detect(unsigned direction, ByteView bytes);
    bool begin_following(unsigned direction, const Protocol& protocol);
    bool align(Stream& stream, const remora_data_record& record);

    void message_begins(Stream& stream);
    void request_begins(Stream& stream);
    void response_begins(Stream& stream);
    void head_ends(Stream& stream);
    void message_ends(Stream& stream);
    void request_ends(Stream& stream);
    void response_ends(Stream& stream);
    void stream_ends(Stream& stream);
    void release_held();

    PendingExchange* make_exchange();
    void decide(PendingExchange& exchange);
    void decide_server(PendingExchange& exchange);
    void decide_client(PendingExchange& exchange);
    void draw_ids(PendingExchange& exchange, const SpanContext* parent);
    Capture capture_for(const Stream& stream) const;
    void keep_capture(Stream& stream, const Capture& capture);
    void finish(PendingExchange& exchange, remora_end how, int error_number);
    void report(PendingExchange& exchange, remora_end how, int error_number, uint64_t end_ns);
    void give_up(remora_loss reason);
    Stream& requests() { return streams_[role_ == REMORA_ROLE_CLIENT ? 1 : 0]; }
    Stream& responses() { return streams_[role_ == REMORA_ROLE_CLIENT ? 0 : 1]; }

    ConnectionWorld world_;
    uint64_t image_;
    uint64_t connection_;
    remora_open_record open_record_{};
    bool open_seen_ = false;
    Follow follow_ = Follow::fresh;
    uint8_t role_ = REMORA_ROLE_UNKNOWN;
    uint8_t prefix_size_ = 0;  // first bytes, kept until the protocol is known
    uint8_t prefix_direction_ = 0;
    uint8_t prefix_[24] = {};
    uint64_t prefix_time_ns_ = 0;
    const Protocol* protocol_ = nullptr;
    Stream streams_[2];                  // by remora_direction
    std::deque<PendingExchange*> open_;  // oldest first
    bool holding_ = false;               // a switch was asked for: requests wait for the answer
    std::string held_;
    uint32_t sequence_ = 0;
    uint64_t activity_ns_ = 0;
    // The call that is being looked at.
    remora_data_record call_{};
    uint64_t now_ = 0;
    PendingExchange* batch_ = nullptr;  // the exchange that requests of the same write join
};

}  // namespace remora
