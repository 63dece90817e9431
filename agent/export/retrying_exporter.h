// SPDX-License-Identifier: Apache-2.0
// Sends batches to a remote destination and tries again what may heal, by the rules of the
// destination's protocol (its SpanSender), until the deadline of the batch.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "agent/export/failure_log.h"
#include "agent/export/retry_gate.h"
#include "agent/export/span_exporter.h"
#include "agent/export/span_sender.h"
#include "agent/span/span_sink.h"

namespace remora {

struct RetryOptions {
    std::string what;                          // "OTLP export to http://...", for log lines
    std::chrono::milliseconds timeout{10000};  // of one try
    uint64_t seed = 0;                         // of the jitter
    FailureLog::Write log;                     // for tests; spdlog if not given
};

// export_spans() may be called from several threads at a time.
class RetryingExporter : public SpanExporter {
public:
    // Spans that the destination rejects from a batch it accepts are counted as export_failed.
    RetryingExporter(std::unique_ptr<SpanSender> sender, RetryOptions options,
                     CountLoss count_loss);

    Status export_spans(const std::vector<Span>& batch,
                        std::chrono::steady_clock::time_point deadline) override;
    void hurry(std::chrono::steady_clock::time_point deadline) noexcept override;
    Status stop(std::chrono::steady_clock::time_point /*deadline*/) override { return Done{}; }
    [[nodiscard]] size_t most_in_flight() const override { return 4; }

private:
    using TimePoint = std::chrono::steady_clock::time_point;

    Attempt try_once(const std::string& body, size_t spans, TimePoint deadline);
    void note_success(const Attempt& attempt);

    const std::unique_ptr<SpanSender> sender_;
    const std::chrono::milliseconds timeout_;
    const CountLoss count_loss_;
    RetryGate gate_;

    std::mutex mutex_;  // guards all below
    FailureLog log_;
    bool unreachable_ = false;                      // at the last try
    std::string why_ = "no time was left to send";  // the last try failed
};

}  // namespace remora
