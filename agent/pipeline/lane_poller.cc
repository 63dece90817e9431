// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/lane_poller.h"

#include "agent/pipeline/clock_watch.h"

namespace remora {

LanePoller::LanePoller(std::unique_ptr<LaneSource> source, ControlPage& page, RecordSink& sink)
    : source_(std::move(source)), page_(page), sink_(sink) {}

void LanePoller::start() {
    thread_ = std::jthread([this](const std::stop_token& stopped) { poll_until(stopped); });
}

void LanePoller::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    source_->wake();
    thread_.join();
}

void LanePoller::poll_until(const std::stop_token& stopped) {
    ClockWatch clocks;
    const auto look_at_clocks = [&] {
        if (const auto offset = clocks.look()) sink_.on_clock(*offset);
    };
    look_at_clocks();
    while (!stopped.stop_requested()) {
        page_.beat();
        look_at_clocks();
        source_->poll(sink_);
        const auto rest = source_->rest();
        if (rest.count() > 0) source_->wait(rest);
    }
    page_.retire();
    source_->close(sink_);
}

}  // namespace remora
