// SPDX-License-Identifier: Apache-2.0
#include "agent/export/retrying_exporter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/base/block_signals.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;
using Outcome = Attempt::Outcome;

}  // namespace

Result<std::unique_ptr<Spool>> open_spool(const SpoolConfig& config, const std::string& destination,
                                          const CountLoss& count_loss) {
    if (config.directory.empty()) return std::unique_ptr<Spool>();
    auto spool = Spool::open({config.directory, destination, config.limit_bytes}, count_loss);
    if (!spool) return spool.error();
    if (const uint64_t spans = (*spool)->pending().spans; spans > 0)
        spdlog::info("{} spans of before wait in {}", spans, (*spool)->folder());
    return spool;
}

RetryingExporter::RetryingExporter(std::unique_ptr<SpanSender> sender, RetryOptions options,
                                   CountLoss count_loss, std::unique_ptr<Spool> spool)
    : sender_(std::move(sender)),
      spool_(std::move(spool)),
      name_(options.what),
      timeout_(options.timeout),
      count_loss_(std::move(count_loss)),
      gate_(options.seed),
      log_(options.what, std::move(options.log)) {
    if (spool_) replayer_ = std::jthread([this] { replay(); });
}

RetryingExporter::~RetryingExporter() {
    hurry(Clock::now());
    [[maybe_unused]] const Status status = stop(Clock::now());
}

Result<Delivery> RetryingExporter::export_spans(const std::vector<Span>& batch,
                                                TimePoint deadline) {
    const std::string body = sender_->encode(batch);
    if (spool_ && !spool_->empty()) return keep(body, batch.size());
    for (int tries = 1; gate_.wait(deadline); ++tries) {
        const Attempt attempt = try_once(body, batch.size(), deadline);
        if (attempt.outcome == Outcome::delivered) return Delivery::sent;
        std::unique_lock lock(mutex_);
        const bool was_unreachable = std::exchange(unreachable_, attempt.unreachable);
        // A last try that was cut short says less than those before it.
        if (tries == 1 || !attempt.timed_out) why_ = attempt.why;
        if (attempt.outcome == Outcome::again && spool_) {
            lock.unlock();
            return keep(body, batch.size());
        }
        // Nobody waits at a prompt for a collector that isn't there.
        const bool hopeless =
            gate_.hurried() && attempt.unreachable && (was_unreachable || tries > 1);
        if (attempt.outcome == Outcome::failed || hopeless) {
            log_.failed(why_, batch.size(), Clock::now());
            return Error{why_};
        }
        if (!gate_.closed_until(deadline) && !gate_.hurried())
            log_.trying_again(why_, Clock::now());
    }
    if (spool_) return keep(body, batch.size());
    const std::lock_guard lock(mutex_);
    log_.failed(why_, batch.size(), Clock::now());
    return Error{why_};
}

void RetryingExporter::hurry(TimePoint deadline) noexcept {
    gate_.hurry(deadline);
    sender_->limit(deadline);
}

Status RetryingExporter::stop(TimePoint) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    spooled_.notify_all();
    if (replayer_.joinable()) replayer_.join();
    return Done{};
}

Result<Delivery> RetryingExporter::keep(const std::string& body, size_t spans) {
    const Status status = spool_->append(body, spans);
    {
        const std::lock_guard lock(mutex_);
        if (!status) {
            log_.failed(status.error().text() + " (and " + why_ + ")", spans, Clock::now());
            return status.error();
        }
        log_.trying_again(why_ + "; spans are kept in " + spool_->folder(), Clock::now());
    }
    spooled_.notify_all();
    return Delivery::spooled;
}

void RetryingExporter::replay() {
    block_all_signals();
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            spooled_.wait(lock, [this] { return stopping_ || !spool_->empty(); });
        }
        if (spool_->empty() || !replay_one()) return;
    }
}

// False: the agent is leaving, and the rest stays where it is.
bool RetryingExporter::replay_one() {
    const auto record = spool_->oldest();
    if (!record) return true;
    if (!gate_.wait(TimePoint::max())) return false;
    const Attempt attempt = try_once(record->bytes, record->spans, TimePoint::max());
    if (attempt.outcome == Outcome::again) {
        const std::lock_guard lock(mutex_);
        unreachable_ = attempt.unreachable;
        why_ = attempt.why;
        log_.trying_again(why_ + "; spans are kept in " + spool_->folder(), Clock::now());
        return !gate_.hurried();
    }
    spool_->done();
    const std::lock_guard lock(mutex_);
    if (attempt.outcome == Outcome::delivered) {
        replayed_ += record->spans;
        return true;
    }
    refused_by_replay_ += record->spans;
    count_loss_(REMORA_LOSS_export_failed, record->spans);
    log_.failed(attempt.why, record->spans, Clock::now());
    return true;
}

void RetryingExporter::add_counts(ExportCounts& counts) const {
    {
        const std::lock_guard lock(mutex_);
        counts.latency = latency_;
    }
    if (!spool_) return;
    const Spool::Pending pending = spool_->pending();
    counts.spool_spans = pending.spans;
    counts.spool_bytes = pending.bytes;
    const std::lock_guard lock(mutex_);
    counts.exported += replayed_;
    counts.failed += refused_by_replay_;
}

Attempt RetryingExporter::try_once(const std::string& body, size_t spans, TimePoint deadline) {
    const TimePoint end = std::min(gate_.bounded(deadline), Clock::now() + timeout_);
    const TimePoint begin = Clock::now();
    Attempt attempt = sender_->send(body, spans, end);
    {
        const std::lock_guard lock(mutex_);
        latency_.add(std::chrono::duration<double>(Clock::now() - begin).count());
    }
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
