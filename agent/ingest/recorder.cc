// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/recorder.h"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string_view>

#include "agent/base/clock.h"
#include "agent/base/output_file.h"
#include "agent/base/printable.h"

namespace remora {

namespace {
constexpr size_t flush_at = size_t{64} << 10;
constexpr std::chrono::seconds reader_limit{2};
}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::create(const std::string& path, RecordSink& next) {
    auto fd = open_output_file(path, "the recording", 0644);
    if (!fd) return fd.error();
    return std::unique_ptr<Recorder>(new Recorder(std::move(*fd), path, next));
}

void Recorder::append(const void* bytes, size_t size) {
    const auto* from = static_cast<const uint8_t*>(bytes);
    buffer_.insert(buffer_.end(), from, from + size);
}

template <typename Record>
void Recorder::write(Record record, remora_record_type type,
                     std::initializer_list<ByteView> payload) {
    if (!fd_) return;
    if (!greeted_) greet({monotonic_ns(), realtime_ns()});
    size_t size = sizeof(record);
    for (const ByteView part : payload) size += part.size;
    const size_t padding = (8 - size % 8) % 8;
    record.header.size = static_cast<uint32_t>(size + padding);
    record.header.type = type;
    append(&record, sizeof(record));
    for (const ByteView part : payload) append(part.data, part.size);
    buffer_.insert(buffer_.end(), padding, 0);
    if (buffer_.size() >= flush_at) flush();
}

void Recorder::flush() {
    if (!fd_ || buffer_.empty()) return;
    std::string_view left{reinterpret_cast<const char*>(buffer_.data()), buffer_.size()};
    // All stages wait meanwhile: a pipe's reader has some time, not all of it.
    const auto written =
        OutputWriter().write(fd_.get(), left, std::chrono::steady_clock::now() + reader_limit);
    buffer_.clear();
    if (written) return;
    const int number = written.error().number;
    spdlog::error("the recording {} ends here: {}", printable(path_),
                  number == ETIMEDOUT ? "its reader does not read" : std::strerror(number));
    fd_.reset();
}

void Recorder::greet(const ClockOffset& clock) {
    greeted_ = true;
    remora_hello_record hello{};
    hello.header.time_ns = clock.monotonic_ns;
    memcpy(hello.magic, "REMORA\0\0", sizeof(hello.magic));
    hello.abi_version = REMORA_ABI_VERSION;
    hello.monotonic_ns = clock.monotonic_ns;
    hello.realtime_ns = clock.realtime_ns;
    write(hello, REMORA_RECORD_HELLO, {});
}

void Recorder::on_clock(const ClockOffset& clock) {
    greet(clock);
    next_.on_clock(clock);
}

void Recorder::on_process(const remora_process& process) {
    remora_process_record record{};
    record.header.time_ns = monotonic_ns();
    record.header.image = process.image;
    record.process = process;
    write(record, REMORA_RECORD_PROCESS, {});
    next_.on_process(process);
}

void Recorder::on_exchange(const ExchangeView& view) {
    remora_exchange_record record{};
    record.header.time_ns = view.exchange.end_ns;
    record.header.image = view.exchange.image;
    record.exchange = view.exchange;
    write(record, REMORA_RECORD_EXCHANGE,
          {view.opening, view.request, view.tracestate, view.response});
    next_.on_exchange(view);
}

void Recorder::on_open(const remora_open_record& record) {
    write(record, REMORA_RECORD_OPEN, {});
    next_.on_open(record);
}

void Recorder::on_data(const remora_data_record& record, ByteView bytes) {
    write(record, REMORA_RECORD_DATA, {bytes});
    next_.on_data(record, bytes);
}

void Recorder::on_close(const remora_close_record& record) {
    write(record, REMORA_RECORD_CLOSE, {});
    next_.on_close(record);
}

void Recorder::on_loss(remora_loss reason, uint64_t count) {
    remora_loss_record record{};
    record.header.time_ns = monotonic_ns();
    record.reason = reason;
    record.count = count;
    write(record, REMORA_RECORD_LOSS, {});
    next_.on_loss(reason, count);
}

}  // namespace remora
