// SPDX-License-Identifier: Apache-2.0
#include "agent/export/retrying_exporter.h"

#include <algorithm>
#include <utility>

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;
using Outcome = Attempt::Outcome;

}  // namespace

RetryingExporter::RetryingExporter(std::unique_ptr<SpanSender> sender, RetryOptions options,
                                   CountLoss count_loss)
    : sender_(std::move(sender)),
      timeout_(options.timeout),
      count_loss_(std::move(count_loss)),
      gate_(options.seed),
      log_(options.what, std::move(options.log)) {}

Status RetryingExporter::export_spans(const std::vector<Span>& batch, TimePoint deadline) {
    const std::string body = sender_->encode(batch);
    for (int tries = 1; gate_.wait(deadline); ++tries) {
        const Attempt attempt = try_once(body, batch.size(), deadline);
        if (attempt.outcome == Outcome::delivered) return Done{};
        const std::lock_guard lock(mutex_);
        const bool was_unreachable = std::exchange(unreachable_, attempt.unreachable);
        why_ = attempt.why;
        // Nobody waits at a prompt for a collector that isn't there.
        const bool hopeless =
            gate_.hurried() && attempt.unreachable && (was_unreachable || tries > 1);
        if (attempt.outcome == Outcome::failed || hopeless) break;
        if (!gate_.closed_until(deadline) && !gate_.hurried())
            log_.trying_again(why_, Clock::now());
    }
    const std::lock_guard lock(mutex_);
    log_.failed(why_, batch.size(), Clock::now());
    return Error{why_};
}

void RetryingExporter::hurry(TimePoint deadline) noexcept {
    gate_.hurry(deadline);
    sender_->limit(deadline);
}

Attempt RetryingExporter::try_once(const std::string& body, size_t spans, TimePoint deadline) {
    const TimePoint end = std::min(gate_.bounded(deadline), Clock::now() + timeout_);
    Attempt attempt = sender_->send(body, spans, end);
    if (attempt.outcome == Outcome::again)
        gate_.failed(attempt.wait);
    else
        gate_.answered();
    if (attempt.outcome == Outcome::delivered) {
        attempt.rejected = std::min(attempt.rejected, spans);
        note_success(attempt);
    }
    return attempt;
}

void RetryingExporter::note_success(const Attempt& attempt) {
    if (attempt.rejected > 0) count_loss_(REMORA_LOSS_export_failed, attempt.rejected);
    const std::lock_guard lock(mutex_);
    unreachable_ = false;
    log_.succeeded();
    if (attempt.rejected == 0 && attempt.remark.empty()) return;
    log_.refused(attempt.remark.empty() ? "no reason given" : attempt.remark, attempt.rejected,
                 Clock::now());
}

}  // namespace remora
