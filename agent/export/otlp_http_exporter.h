// SPDX-License-Identifier: Apache-2.0
// OTLP over HTTP, as protobuf or JSON (OTLP specification 1.x, "OTLP/HTTP"): tries again on 429,
// 502, 503, 504 and where no answer came, honours Retry-After, never on anything else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "agent/config/config.h"
#include "agent/export/backoff.h"
#include "agent/export/failure_log.h"
#include "agent/export/http_poster.h"
#include "agent/export/otlp_protobuf.h"
#include "agent/export/span_exporter.h"
#include "agent/span/span_sink.h"

namespace remora {

class OtlpHttpExporter : public SpanExporter {
public:
    // Spans that the collector rejects from a batch it accepts are counted as export_failed.
    // seed: of the jitter. log: for tests.
    static Result<std::unique_ptr<OtlpHttpExporter>> create(const OtlpConfig& config,
                                                            CountLoss count_loss, uint64_t seed,
                                                            FailureLog::Write log = {});

    Status export_spans(const std::vector<Span>& batch,
                        std::chrono::steady_clock::time_point deadline) override;
    void hurry(std::chrono::steady_clock::time_point deadline) noexcept override;
    Status stop(std::chrono::steady_clock::time_point /*deadline*/) override { return Done{}; }

private:
    using TimePoint = std::chrono::steady_clock::time_point;
    enum class Outcome { delivered, again, failed };

    OtlpHttpExporter(const OtlpConfig& config, CountLoss count_loss, uint64_t seed,
                     FailureLog::Write log, std::unique_ptr<HttpPoster> poster);

    Outcome judge(const HttpReply& reply, size_t spans);
    void read_success(const HttpReply& reply, size_t spans);
    [[nodiscard]] OtlpResponse read_body(const HttpReply& reply, bool success) const;
    void wait_for_turn(TimePoint deadline);
    [[nodiscard]] bool hurried() const;
    [[nodiscard]] TimePoint bounded(TimePoint deadline) const;

    const OtlpProtocol protocol_;
    const Compression compression_;
    const std::chrono::milliseconds timeout_;
    CountLoss count_loss_;
    std::unique_ptr<HttpPoster> poster_;
    Backoff backoff_;
    FailureLog log_;
    TimePoint not_before_{};   // the next try, by the back-off
    TimePoint asked_until_{};  // and by the collector's Retry-After
    bool unreachable_ = false;
    std::string why_ = "no time was left to send";  // the last attempt failed

    mutable std::mutex mutex_;
    std::condition_variable hurried_;
    TimePoint limit_ = TimePoint::max();  // guarded by mutex_
};

}  // namespace remora
