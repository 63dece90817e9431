// SPDX-License-Identifier: Apache-2.0
// Writes every record that passes into a file (bpf/abi/record.h: a HELLO, then records) and hands
// it on. One thread, like every sink. When the file can't be written any more the recording ends
// with one log line; the records go on.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/ingest/record_sink.h"

namespace remora {

class Recorder : public RecordSink {
public:
    // Creates or empties the file. `next` is the caller's and outlives the recorder.
    static Result<std::unique_ptr<Recorder>> create(const std::string& path, RecordSink& next);
    ~Recorder() override { flush(); }

    void flush();

    void on_clock(const ClockOffset& clock) override;
    void on_process(const remora_process& process) override;
    void on_exchange(const ExchangeView& exchange) override;
    void on_open(const remora_open_record& record) override;
    void on_data(const remora_data_record& record, ByteView bytes) override;
    void on_close(const remora_close_record& record) override;
    void on_loss(remora_loss reason, uint64_t count) override;

private:
    Recorder(UniqueFd fd, std::string path, RecordSink& next)
        : fd_(std::move(fd)), path_(std::move(path)), next_(next) {}

    void greet(const ClockOffset& clock);
    // record's header.size and header.type are filled in here.
    template <typename Record>
    void write(Record record, remora_record_type type, std::initializer_list<ByteView> payload);
    void append(const void* bytes, size_t size);

    UniqueFd fd_;
    std::string path_;
    RecordSink& next_;
    std::vector<uint8_t> buffer_;
    bool greeted_ = false;  // HELLO comes first in every stream
};

}  // namespace remora
