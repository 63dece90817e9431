// SPDX-License-Identifier: Apache-2.0
#include "agent/export/http_answers.h"

#include <fmt/format.h>

#include "agent/base/printable.h"

namespace remora {
namespace {

constexpr size_t quoted_columns = 200;

std::string advice(const HttpReply& reply) {
    if (reply.unreachable) return " (is the collector running, is the endpoint right?)";
    if (reply.status == 404 || reply.status == 405)
        return " (is the endpoint an OTLP/HTTP receiver? the traces path is usually /v1/traces)";
    if (reply.status == 401 || reply.status == 403)
        return " (set credentials in OTEL_EXPORTER_OTLP_HEADERS)";
    if (reply.status == 413) return " (set OTEL_BSP_MAX_EXPORT_BATCH_SIZE lower)";
    if (!reply.location.empty())
        return " (redirects are not followed: set the endpoint to " +
               quoted_remark(reply.location) + ")";
    return "";
}

}  // namespace

HttpPosterOptions poster_options(const OtlpConfig& config) {
    HttpPosterOptions options;
    options.url = config.endpoint;
    options.unix_socket = config.unix_socket;
    for (const auto& [name, value] : config.headers)
        // libcurl takes "Name:" as "leave it out"; an empty value is written with ';'.
        options.header_lines.push_back(value.empty() ? name + ";" : name + ": " + value);
    options.certificate = config.certificate;
    options.client_certificate = config.client_certificate;
    options.client_key = config.client_key;
    return options;
}

bool is_retryable_http_status(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

Attempt failed_attempt(const HttpReply& reply, const std::string& said) {
    Attempt attempt;
    attempt.unreachable = reply.unreachable;
    attempt.timed_out = reply.timed_out;
    if (reply.status == 0) {
        attempt.why = reply.problem + advice(reply);
        attempt.outcome = reply.permanent ? Attempt::Outcome::failed : Attempt::Outcome::again;
        return attempt;
    }
    attempt.why = fmt::format("HTTP {}{}{}{}", reply.status, said.empty() ? "" : ": ",
                              quoted_remark(said), advice(reply));
    if (!is_retryable_http_status(reply.status)) return attempt;
    attempt.outcome = Attempt::Outcome::again;
    attempt.wait = reply.retry_after;
    return attempt;
}

Attempt not_compressed(const Error& error) {
    Attempt attempt;
    attempt.why = error.text();
    return attempt;
}

std::string quoted_remark(const std::string& said) {
    return clip_columns(printable(said), quoted_columns);
}

}  // namespace remora
