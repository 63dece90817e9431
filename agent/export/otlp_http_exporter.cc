// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_http_exporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/parse_value.h"
#include "agent/export/gzip.h"
#include "agent/export/otlp_json.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds hurried_wait{250};
constexpr size_t quoted_columns = 200;  // of what a collector said

bool is_retryable(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

HttpPosterOptions poster_options(const OtlpConfig& config) {
    HttpPosterOptions options;
    options.url = config.endpoint;
    const bool json = config.protocol == OtlpProtocol::http_json;
    options.header_lines.push_back(json ? "Content-Type: application/json"
                                        : "Content-Type: application/x-protobuf");
    if (config.compression == Compression::gzip)
        options.header_lines.push_back("Content-Encoding: gzip");
    for (const auto& [name, value] : config.headers)
        // libcurl takes "Name:" as "leave it out"; an empty value is written with ';'.
        options.header_lines.push_back(value.empty() ? name + ";" : name + ": " + value);
    options.certificate = config.certificate;
    options.client_certificate = config.client_certificate;
    options.client_key = config.client_key;
    return options;
}

std::string advice(const HttpReply& reply) {
    if (reply.unreachable) return " (is the collector running, is the endpoint right?)";
    if (reply.status == 404 || reply.status == 405)
        return " (is the endpoint an OTLP/HTTP receiver? the traces path is usually /v1/traces)";
    if (reply.status == 401 || reply.status == 403)
        return " (set credentials in OTEL_EXPORTER_OTLP_HEADERS)";
    if (reply.status == 413) return " (set OTEL_BSP_MAX_EXPORT_BATCH_SIZE lower)";
    if (!reply.location.empty())
        return " (redirects are not followed: set the endpoint to " +
               clip_columns(printable(reply.location), quoted_columns) + ")";
    return "";
}

}  // namespace

Result<std::unique_ptr<OtlpHttpExporter>> OtlpHttpExporter::create(const OtlpConfig& config,
                                                                   CountLoss count_loss,
                                                                   uint64_t seed,
                                                                   FailureLog::Write log) {
    auto poster = HttpPoster::create(poster_options(config));
    if (!poster) return poster.error();
    return std::unique_ptr<OtlpHttpExporter>(new OtlpHttpExporter(
        config, std::move(count_loss), seed, std::move(log), std::move(*poster)));
}

OtlpHttpExporter::OtlpHttpExporter(const OtlpConfig& config, CountLoss count_loss, uint64_t seed,
                                   FailureLog::Write log, std::unique_ptr<HttpPoster> poster)
    : protocol_(config.protocol),
      compression_(config.compression),
      timeout_(config.timeout),
      count_loss_(std::move(count_loss)),
      poster_(std::move(poster)),
      backoff_(seed),
      log_("OTLP export to " + printable(without_secrets(config.endpoint)), std::move(log)) {}

Status OtlpHttpExporter::export_spans(const std::vector<Span>& batch, TimePoint deadline) {
    std::string body = protocol_ == OtlpProtocol::http_json ? encode_otlp_json(batch)
                                                            : encode_otlp_protobuf(batch);
    if (compression_ == Compression::gzip) {
        auto compressed = gzip(body);
        if (!compressed) return compressed.error();
        body = std::move(*compressed);
    }
    backoff_.reset();
    for (int attempt = 1;; ++attempt) {
        wait_for_turn(deadline);
        const TimePoint now = Clock::now();
        if (now >= bounded(deadline)) break;
        const HttpReply reply = poster_->post(body, std::min(bounded(deadline), now + timeout_));
        const Outcome outcome = judge(reply, batch.size());
        const bool was_unreachable = std::exchange(unreachable_, reply.unreachable);
        if (outcome == Outcome::delivered) return Done{};
        // Nobody waits at a prompt for a collector that isn't there.
        const bool hopeless = hurried() && reply.unreachable && (was_unreachable || attempt > 1);
        if (outcome == Outcome::failed || hopeless) break;
        not_before_ = Clock::now() + backoff_.next();
        if (std::max(not_before_, asked_until_) < deadline && !hurried())
            log_.trying_again(why_, Clock::now());
    }
    log_.failed(why_, batch.size(), Clock::now());
    return Error{why_};
}

void OtlpHttpExporter::hurry(TimePoint deadline) noexcept {
    {
        const std::lock_guard lock(mutex_);
        limit_ = std::min(limit_, deadline);
    }
    hurried_.notify_all();
    poster_->limit(deadline);
}

OtlpHttpExporter::Outcome OtlpHttpExporter::judge(const HttpReply& reply, size_t spans) {
    if (reply.status == 0) {
        why_ = reply.problem + advice(reply);
        return reply.permanent ? Outcome::failed : Outcome::again;
    }
    if (reply.status >= 200 && reply.status < 300) {
        read_success(reply, spans);
        return Outcome::delivered;
    }
    const std::string said = read_body(reply, false).message;
    why_ = fmt::format("HTTP {}{}{}{}", reply.status, said.empty() ? "" : ": ",
                       clip_columns(printable(said), quoted_columns), advice(reply));
    if (!is_retryable(reply.status)) return Outcome::failed;
    if (reply.retry_after) asked_until_ = Clock::now() + *reply.retry_after;
    return Outcome::again;
}

void OtlpHttpExporter::read_success(const HttpReply& reply, size_t spans) {
    log_.succeeded();
    if (reply.body.empty()) return;
    const OtlpResponse response = read_body(reply, true);
    const TimePoint now = Clock::now();
    if (!response.readable) {
        log_.refused("the answer is not OTLP (is the endpoint an OTLP/HTTP receiver?)", 0, now);
        return;
    }
    const auto rejected =
        std::min(spans, static_cast<size_t>(std::max<int64_t>(response.rejected_spans, 0)));
    if (rejected == 0 && response.message.empty()) return;
    if (rejected > 0) count_loss_(REMORA_LOSS_export_failed, rejected);
    const std::string said = response.message.empty() ? "no reason given" : response.message;
    log_.refused(clip_columns(printable(said), quoted_columns), rejected, now);
}

OtlpResponse OtlpHttpExporter::read_body(const HttpReply& reply, bool success) const {
    // Collectors answer in the format of the request, proxies in front of them in any.
    if (reply.content_type.rfind("application/json", 0) == 0)
        return decode_otlp_json_response(reply.body);
    if (reply.content_type.rfind("application/x-protobuf", 0) == 0)
        return success ? decode_otlp_response(reply.body) : decode_otlp_status(reply.body);
    OtlpResponse plain;
    if (!success) plain.message = reply.body.substr(0, reply.body.find('\n'));
    return plain;
}

// Until the back-off and what the collector asked for are over. hurry() cuts the back-off short.
void OtlpHttpExporter::wait_for_turn(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    const auto is_hurried = [this] { return limit_ != TimePoint::max(); };
    if (!is_hurried())
        hurried_.wait_until(lock, std::min(std::max(not_before_, asked_until_), deadline),
                            is_hurried);
    if (!is_hurried()) return;
    const TimePoint soon = std::min(not_before_, Clock::now() + hurried_wait);
    hurried_.wait_until(lock, std::min({std::max(soon, asked_until_), deadline, limit_}),
                        [] { return false; });
}

bool OtlpHttpExporter::hurried() const { return bounded(TimePoint::max()) != TimePoint::max(); }

OtlpHttpExporter::TimePoint OtlpHttpExporter::bounded(TimePoint deadline) const {
    const std::lock_guard lock(mutex_);
    return std::min(deadline, limit_);
}

}  // namespace remora
