// SPDX-License-Identifier: Apache-2.0
// What every source of records delivers to: validated in size, untrusted in content.
// All calls of one sink come from one thread. Views are valid until the call returns.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/protocol/description.h"
#include "bpf/abi/loss.h"
#include "bpf/abi/record.h"

namespace remora {

// Turns the producers' monotonic times into wall-clock ones (both nanoseconds).
struct ClockOffset {
    uint64_t monotonic_ns = 0;
    uint64_t realtime_ns = 0;
    [[nodiscard]] uint64_t wall(uint64_t monotonic) const {
        return realtime_ns + (monotonic - monotonic_ns);  // wraps rightly for earlier times
    }
};

class RecordSink {
public:
    virtual ~RecordSink() = default;
    virtual void on_clock(const ClockOffset& clock) = 0;
    // A process image appeared or what is known of it changed (it became a server, it ended:
    // end_ns != 0 says that this is the last word).
    virtual void on_process(const remora_process& process) = 0;
    virtual void on_exchange(const ExchangeView& exchange) = 0;
    virtual void on_open(const remora_open_record& record) = 0;
    virtual void on_data(const remora_data_record& record, ByteView bytes) = 0;
    virtual void on_close(const remora_close_record& record) = 0;
    virtual void on_loss(remora_loss reason, uint64_t count) = 0;
};

}  // namespace remora
