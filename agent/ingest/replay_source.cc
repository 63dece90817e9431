// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/replay_source.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/ingest/record_check.h"
#include "bpf/abi/lanes.h"

namespace remora {

namespace {

constexpr size_t chunk = size_t{256} << 10;
constexpr size_t longest_record = sizeof(remora_data_record) + REMORA_DATA_MAX;
static_assert(longest_record > sizeof(remora_process_record) &&
              longest_record > sizeof(remora_exchange_record) + REMORA_PAYLOAD_MAX);

// A private copy of a record's fixed part; false: the record is shorter.
template <typename Record>
bool read_as(ByteView record, Record& out) {
    if (record.size < sizeof(out)) return false;
    memcpy(&out, record.data, sizeof(out));
    return true;
}

bool hand_on_exchange(ByteView record, RecordSink& sink) {
    remora_exchange_record copy;
    if (!read_as(record, copy)) return false;
    const ByteView payload = record.from(sizeof(copy));
    // The times of a recording are over: any "now" will do.
    if (!check_exchange(copy.exchange, payload.size, UINT64_MAX, Ends::finished)) return false;
    sink.on_exchange(view_of(copy.exchange, payload.data));
    return true;
}

bool hand_on_process(ByteView record, RecordSink& sink) {
    remora_process_record copy;
    if (!read_as(record, copy)) return false;
    mend_process(copy.process);
    sink.on_process(copy.process);
    return true;
}

bool hand_on_data(ByteView record, RecordSink& sink) {
    remora_data_record copy;
    if (!read_as(record, copy) || !check_data(copy)) return false;
    const ByteView bytes = record.from(sizeof(copy));
    if (copy.size > bytes.size) return false;
    sink.on_data(copy, bytes.first(copy.size));
    return true;
}

bool hand_on_open(ByteView record, RecordSink& sink) {
    remora_open_record copy;
    if (!read_as(record, copy) || !check_open(copy)) return false;
    sink.on_open(copy);
    return true;
}

bool hand_on_close(ByteView record, RecordSink& sink) {
    remora_close_record copy;
    if (!read_as(record, copy) || !check_close(copy)) return false;
    sink.on_close(copy);
    return true;
}

bool hand_on_loss(ByteView record, RecordSink& sink) {
    remora_loss_record copy;
    if (!read_as(record, copy) || copy.reason >= REMORA_LOSS_COUNT) return false;
    sink.on_loss(static_cast<remora_loss>(copy.reason), copy.count);
    return true;
}

bool read_hello(ByteView record, remora_hello_record& out) {
    return read_as(record, out) && out.header.type == REMORA_RECORD_HELLO &&
           memcmp(out.magic, "REMORA\0\0", sizeof(out.magic)) == 0;
}

bool hand_on_hello(ByteView record, RecordSink& sink) {
    remora_hello_record copy;
    if (!read_hello(record, copy) || copy.abi_version != REMORA_ABI_VERSION) return false;
    sink.on_clock({copy.monotonic_ns, copy.realtime_ns});
    return true;
}

}  // namespace

Result<ReplaySource> ReplaySource::open(const std::string& path) {
    // O_NONBLOCK: a FIFO that nobody writes to must not hold us.
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) return Error{"cannot read the recording " + path, errno};
    ReplaySource source{std::move(fd)};
    const auto first = source.next();
    if (!first) return first.error();
    remora_hello_record hello;
    if (*first != Next::record || !read_hello(source.record_, hello))
        return Error{path + " is not a recording: make one with remora run --record FILE"};
    if (hello.abi_version != REMORA_ABI_VERSION)
        return Error{path + " was recorded by another version of remora (records of version " +
                     std::to_string(hello.abi_version) + ", this one reads " +
                     std::to_string(REMORA_ABI_VERSION) + ")"};
    source.clock_ = {hello.monotonic_ns, hello.realtime_ns};
    return source;
}

Result<ReplayCounts> ReplaySource::run(RecordSink& sink) {
    ReplayCounts counts;
    sink.on_clock(clock_);
    for (;;) {
        const auto found = next();
        if (!found) return found.error();
        if (*found != Next::record) {
            counts.cut = *found == Next::cut;
            return counts;
        }
        if (hand_on(sink)) {
            ++counts.records;
        } else {
            ++counts.refused;
            sink.on_loss(REMORA_LOSS_record_invalid, 1);
        }
    }
}

bool ReplaySource::hand_on(RecordSink& sink) const {
    remora_record header;
    memcpy(&header, record_.data, sizeof(header));
    switch (header.type) {
        case REMORA_RECORD_HELLO: return hand_on_hello(record_, sink);
        case REMORA_RECORD_PROCESS: return hand_on_process(record_, sink);
        case REMORA_RECORD_EXCHANGE: return hand_on_exchange(record_, sink);
        case REMORA_RECORD_OPEN: return hand_on_open(record_, sink);
        case REMORA_RECORD_DATA: return hand_on_data(record_, sink);
        case REMORA_RECORD_CLOSE: return hand_on_close(record_, sink);
        case REMORA_RECORD_LOSS: return hand_on_loss(record_, sink);
        default: return false;  // of a later version
    }
}

Result<ReplaySource::Next> ReplaySource::next() {
    begin_ += record_.size;
    record_ = {};
    remora_record header;
    auto whole = fill(sizeof(header));
    if (!whole) return whole.error();
    if (!*whole) return buffer_.size() == begin_ ? Next::end : Next::cut;
    memcpy(&header, buffer_.data() + begin_, sizeof(header));
    if (header.size < sizeof(header) || header.size > longest_record || header.size % 8 != 0)
        return Next::cut;
    whole = fill(header.size);
    if (!whole) return whole.error();
    if (!*whole) return Next::cut;
    record_ = ByteView{buffer_.data() + begin_, header.size};
    return Next::record;
}

Result<bool> ReplaySource::fill(size_t size) {
    while (buffer_.size() - begin_ < size) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(begin_));
        begin_ = 0;
        const size_t had = buffer_.size();
        buffer_.resize(had + chunk);
        const ssize_t count = ::read(fd_.get(), buffer_.data() + had, chunk);
        const int error = errno;
        buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
        if (count < 0 && error == EINTR) continue;
        if (count < 0) return Error{"cannot read the recording", error};
        if (count == 0) return false;
    }
    return true;
}

}  // namespace remora
