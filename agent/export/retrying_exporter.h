// SPDX-License-Identifier: Apache-2.0
// Sends batches to a remote destination and tries again what may heal, by the rules of the
// destination's protocol (its SpanSender), until the deadline of the batch.
//
// With a spool a batch goes to disk as soon as the first try has failed, and all that follow go
// there too, so that the order is kept. A thread replays them one by one; when the spool is empty,
// batches are sent directly again.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/config/config.h"
#include "agent/export/failure_log.h"
#include "agent/export/retry_gate.h"
#include "agent/export/span_exporter.h"
#include "agent/export/span_sender.h"
#include "agent/export/spool.h"
#include "agent/span/span_sink.h"

namespace remora {

struct RetryOptions {
    std::string what;                          // "OTLP export to http://...", for log lines
    std::chrono::milliseconds timeout{10000};  // of one try
    uint64_t seed = 0;                         // of the jitter
    FailureLog::Write log;                     // for tests; spdlog if not given
};

// Null where the configuration has none. destination: see SpoolOptions.
Result<std::unique_ptr<Spool>> open_spool(const SpoolConfig& config, const std::string& destination,
                                          const CountLoss& count_loss);

// export_spans() may be called from several threads at a time.
class RetryingExporter : public SpanExporter {
public:
    // Spans that the destination rejects from a batch it accepts are counted as export_failed.
    // spool: null for none.
    RetryingExporter(std::unique_ptr<SpanSender> sender, RetryOptions options, CountLoss count_loss,
                     std::unique_ptr<Spool> spool = nullptr);
    ~RetryingExporter() override;  // waits for nothing that is not running

    Result<Delivery> export_spans(const std::vector<Span>& batch,
                                  std::chrono::steady_clock::time_point deadline) override;
    void hurry(std::chrono::steady_clock::time_point deadline) noexcept override;
    // Replays what is spooled as long as the destination takes it. The rest stays on disk.
    Status stop(std::chrono::steady_clock::time_point deadline) override;
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] size_t most_in_flight() const override { return 4; }
    [[nodiscard]] bool has_spool() const override { return spool_ != nullptr; }
    void add_counts(ExportCounts& counts) const override;

private:
    using TimePoint = std::chrono::steady_clock::time_point;

    Attempt try_once(const std::string& body, size_t spans, TimePoint deadline);
    void note_success(const Attempt& attempt);
    Result<Delivery> keep(const std::string& body, size_t spans);
    void replay();
    bool replay_one();

    const std::unique_ptr<SpanSender> sender_;
    const std::unique_ptr<Spool> spool_;  // may be null
    const std::string name_;
    const std::chrono::milliseconds timeout_;
    const CountLoss count_loss_;
    RetryGate gate_;

    mutable std::mutex mutex_;  // guards all below
    FailureLog log_;
    bool unreachable_ = false;                      // at the last try
    std::string why_ = "no time was left to send";  // the last try failed
    bool stopping_ = false;
    LatencyHistogram latency_;
    uint64_t replayed_ = 0;           // spans that were delivered from the spool
    uint64_t refused_by_replay_ = 0;  // or given up
    std::condition_variable spooled_;

    std::jthread replayer_;  // last: it uses all of the above
};

}  // namespace remora
