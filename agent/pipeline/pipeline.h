// SPDX-License-Identifier: Apache-2.0
// All stages, put together:
//
//   lanes | recording -> [recorder] -> connections -> spans -> tail sampler -> exporters, view
//
// Data goes down this list and never back up. One thread (the source's) runs everything up to the
// exporters' queues; every exporter has a thread of its own.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/config.h"
#include "agent/connection/connection_assembler.h"
#include "agent/control/control_page.h"
#include "agent/export/batch_processor.h"
#include "agent/export/metrics_server.h"
#include "agent/export/metrics_text.h"
#include "agent/ingest/recorder.h"
#include "agent/ingest/replay_source.h"
#include "agent/pipeline/lane_poller.h"
#include "agent/pipeline/loss_counters.h"
#include "agent/pipeline/span_counter.h"
#include "agent/sample/tail_sampler.h"
#include "agent/span/span_stage.h"
#include "agent/view/terminal_view.h"

namespace remora {

class Pipeline {
public:
    // Opens the outputs and starts the exporters' threads. record_file: empty for no recording.
    static Result<std::unique_ptr<Pipeline>> create(const Config& config,
                                                    const std::string& record_file);
    ~Pipeline();

    // One of two sources: the lanes, on a thread of their own until stop(); page outlives it...
    LaneSource& follow(std::unique_ptr<LaneSource> source, ControlPage& page);
    // ... or a recorded file, to its end.
    Result<ReplayCounts> replay(ReplaySource& source);

    // Drains every stage, in the order in which data flows. What is still queued at the deadline is
    // dropped and counted. Idempotent.
    void stop(std::chrono::steady_clock::time_point deadline);

    [[nodiscard]] const LossCounters& losses() const { return losses_; }
    // Of the exporter that got the least through: all are given the same spans. None: there is
    // none.
    [[nodiscard]] std::optional<ExportCounts> exported() const;

private:
    Pipeline() = default;
    [[nodiscard]] AgentNumbers numbers() const;

    LossCounters losses_;
    // From the last stage to the first: each is built on the next one and destroyed before it.
    std::vector<std::unique_ptr<BatchProcessor>> exporters_;
    std::unique_ptr<TerminalView> view_;  // null: none is wanted
    std::unique_ptr<SpanFanOut> outputs_;
    std::unique_ptr<SpanCounter> kept_;
    std::unique_ptr<TailSampler> tail_sampler_;
    std::unique_ptr<SpanCounter> seen_;
    std::unique_ptr<SpanStage> spans_;
    std::unique_ptr<ConnectionAssembler> connections_;
    std::unique_ptr<Recorder> recorder_;
    RecordSink* entrance_ = nullptr;
    std::unique_ptr<LanePoller> lanes_;
    std::unique_ptr<MetricsServer> metrics_;  // last: it reads all of the above; null: not wanted
};

}  // namespace remora
