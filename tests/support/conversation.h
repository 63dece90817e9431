// SPDX-License-Identifier: Apache-2.0
// A conversation as a producer of bytes would tell it, one line a step:
//
//   Conversation talk{REMORA_ROLE_SERVER};
//   talk.client("GET / HTTP/1.1\r\n\r\n").after(2ms).server("HTTP/1.1 204 No Content\r\n\r\n");
//   talk.close().play(assembler);
//
// role: which side is watched. Times begin at one second and go on by after() alone.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "agent/context/span_context.h"
#include "agent/ingest/record_sink.h"

namespace remora::test {

class Conversation {
public:
    explicit Conversation(remora_role role, uint64_t connection = 1, uint64_t image = 1)
        : role_(role), connection_(connection), image_(image) {}

    // Without it the connection was there before the producer was.
    Conversation& open(bool role_is_known = false) {
        remora_open_record record{};
        fill(record.header, REMORA_RECORD_OPEN);
        record.connection = connection_;
        record.role = role_is_known ? static_cast<uint8_t>(role_) : uint8_t{REMORA_ROLE_UNKNOWN};
        record.local.family = record.peer.family = AF_INET;
        record.local.port = 8080;
        record.peer.port = 54321;
        const uint8_t address[4] = {192, 0, 2, 1};
        memcpy(record.peer.bytes, address, sizeof(address));
        steps_.push_back([record](RecordSink& sink) { sink.on_open(record); });
        return *this;
    }
    Conversation& client(std::string_view bytes) { return data(true, bytes, bytes.size()); }
    Conversation& server(std::string_view bytes) { return data(false, bytes, bytes.size()); }
    // Bytes that moved and were not captured; `told` says whether a record speaks of them.
    Conversation& client_unseen(size_t count, bool told = true) {
        return told ? data(true, {}, count) : skip(true, count);
    }
    Conversation& server_unseen(size_t count, bool told = true) {
        return told ? data(false, {}, count) : skip(false, count);
    }
    Conversation& after(std::chrono::nanoseconds time) {
        now_ += static_cast<uint64_t>(time.count());
        return *this;
    }
    Conversation& close(remora_end end = REMORA_END_LOCAL, int error_number = 0) {
        remora_close_record record{};
        fill(record.header, REMORA_RECORD_CLOSE);
        record.connection = connection_;
        record.end = static_cast<uint8_t>(end);
        record.error_number = error_number;
        steps_.push_back([record](RecordSink& sink) { sink.on_close(record); });
        return *this;
    }
    // What the producer knows of the next data records' sender.
    Conversation& caller(const SpanContext& context) {
        caller_ = context;
        return *this;
    }
    Conversation& minted(const SpanId& span) {
        minted_ = span;
        return *this;
    }
    Conversation& positions_unknown() {
        positions_known_ = false;
        return *this;
    }

    void play(RecordSink& sink) const {
        for (const auto& step : steps_) step(sink);
    }
    // The same with every data record cut into pieces of `size` bytes, as if read by small calls.
    void play_in_pieces(RecordSink& sink, size_t size) const;

    [[nodiscard]] uint64_t now() const { return now_; }

private:
    void fill(remora_record& header, remora_record_type type) const {
        header.type = type;
        header.time_ns = now_;
        header.image = image_;
    }
    Conversation& data(bool by_client, std::string_view bytes, size_t length) {
        remora_data_record record{};
        fill(record.header, REMORA_RECORD_DATA);
        record.connection = connection_;
        record.direction = by_client == (role_ == REMORA_ROLE_CLIENT) ? REMORA_DIRECTION_SENT
                                                                      : REMORA_DIRECTION_RECEIVED;
        record.position = positions_known_ ? position_[by_client] : UINT64_MAX;
        record.length = static_cast<uint32_t>(length);
        record.size = static_cast<uint32_t>(bytes.size());
        record.thread = 7;
        memcpy(record.caller_trace_id, caller_.trace_id.bytes, 16);
        memcpy(record.caller_span_id, caller_.span_id.bytes, 8);
        memcpy(record.minted_span_id, minted_.bytes, 8);
        position_[by_client] += length;
        std::string copy{bytes};
        steps_.push_back([record, copy](RecordSink& sink) {
            sink.on_data(record, {copy.data(), copy.size()});
        });
        return *this;
    }
    Conversation& skip(bool by_client, size_t count) {
        position_[by_client] += count;
        return *this;
    }

    remora_role role_;
    uint64_t connection_;
    uint64_t image_;
    uint64_t now_ = 1'000'000'000;
    uint64_t position_[2] = {};  // by whether the client speaks
    bool positions_known_ = true;
    SpanContext caller_;
    SpanId minted_;
    std::vector<std::function<void(RecordSink&)>> steps_;
};

// Cuts data records on their way into another sink.
class Cutter : public RecordSink {
public:
    Cutter(RecordSink& next, size_t size) : next_(next), size_(size) {}
    void on_clock(const ClockOffset& clock) override { next_.on_clock(clock); }
    void on_process(const remora_process& process) override { next_.on_process(process); }
    void on_exchange(const ExchangeView& exchange) override { next_.on_exchange(exchange); }
    void on_open(const remora_open_record& record) override { next_.on_open(record); }
    void on_data(const remora_data_record& record, ByteView bytes) override {
        if (bytes.size != record.length) return next_.on_data(record, bytes);
        for (size_t at = 0; at < bytes.size; at += size_) {
            remora_data_record piece = record;
            const ByteView part = bytes.slice(at, size_);
            if (piece.position != UINT64_MAX) piece.position += at;
            piece.length = piece.size = static_cast<uint32_t>(part.size);
            next_.on_data(piece, part);
        }
    }
    void on_close(const remora_close_record& record) override { next_.on_close(record); }
    void on_loss(remora_loss reason, uint64_t count) override { next_.on_loss(reason, count); }

private:
    RecordSink& next_;
    size_t size_;
};

inline void Conversation::play_in_pieces(RecordSink& sink, size_t size) const {
    Cutter cutter{sink, size};
    play(cutter);
}

}  // namespace remora::test
