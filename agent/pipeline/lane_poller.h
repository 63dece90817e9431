// SPDX-License-Identifier: Apache-2.0
// The thread that reads the lanes: polls, rests, renews the heartbeat. Everything downstream of the
// source runs on it. start() and stop() belong to the owner's thread.
#pragma once

#include <memory>
#include <stop_token>
#include <thread>

#include "agent/control/control_page.h"
#include "agent/ingest/lane_source.h"
#include "agent/ingest/record_sink.h"

namespace remora {

class LanePoller {
public:
    // page and sink are the caller's and outlive the poller.
    LanePoller(std::unique_ptr<LaneSource> source, ControlPage& page, RecordSink& sink);
    ~LanePoller() { stop(); }

    void start();
    // Tells programs that nobody reads any more, reads what is there and closes the source.
    // Idempotent.
    void stop();

    [[nodiscard]] LaneSource& source() { return *source_; }

private:
    void poll_until(const std::stop_token& stopped);

    std::unique_ptr<LaneSource> source_;
    ControlPage& page_;
    RecordSink& sink_;
    std::jthread thread_;
};

}  // namespace remora
