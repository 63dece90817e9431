// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_grpc_sender.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/export/grpc_frame.h"
#include "agent/export/gzip.h"
#include "agent/export/http_answers.h"
#include "agent/export/otlp_protobuf.h"

namespace remora {
namespace {

constexpr std::string_view method_path =
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

// gRPC has no base path: what stands behind host and port is another protocol's.
std::string method_url(const std::string& endpoint) {
    const size_t scheme_end = endpoint.find("://");
    const size_t host = scheme_end == std::string::npos ? 0 : scheme_end + 3;
    return endpoint.substr(0, endpoint.find_first_of("/?#", host)) + std::string(method_path);
}

std::string advice(int code) {
    if (code == 12) return " (is the endpoint an OTLP/gRPC receiver? its port is usually 4317)";
    if (code == 16 || code == 7) return " (set credentials in OTEL_EXPORTER_OTLP_HEADERS)";
    return "";
}

Attempt no_answer(const HttpReply& reply) {
    Attempt attempt = failed_attempt(reply, "");
    // libcurl's words for a peer that speaks HTTP/1, or nothing of the kind.
    if (attempt.outcome == Attempt::Outcome::again && !reply.unreachable && !reply.timed_out)
        attempt.why += " (is the endpoint an OTLP/gRPC receiver? its port is usually 4317)";
    return attempt;
}

Attempt refusal(const GrpcStatus& status, int http_status) {
    Attempt attempt;
    const std::string number = http_status == 200 ? "" : fmt::format(" (HTTP {})", http_status);
    attempt.why = fmt::format("gRPC {}{}{}{}{}", grpc_code_text(status.code), number,
                              status.message.empty() ? "" : ": ", quoted_remark(status.message),
                              advice(status.code));
    if (!is_retryable_grpc_code(status.code, status.retry_delay.has_value())) return attempt;
    attempt.outcome = Attempt::Outcome::again;
    attempt.wait = status.retry_delay;
    return attempt;
}

Attempt success(const HttpReply& reply) {
    Attempt attempt;
    attempt.outcome = Attempt::Outcome::delivered;
    const auto message = grpc_unframed(reply.body);
    const OtlpResponse response = message ? decode_otlp_response(*message) : OtlpResponse{};
    if (!response.readable) {
        attempt.remark = "the answer is not OTLP (is the endpoint an OTLP/gRPC receiver?)";
        return attempt;
    }
    attempt.rejected = static_cast<size_t>(std::max<int64_t>(response.rejected_spans, 0));
    attempt.remark = quoted_remark(response.message);
    return attempt;
}

}  // namespace

Result<std::unique_ptr<SpanSender>> OtlpGrpcSender::create(const OtlpConfig& config) {
    HttpPosterOptions options = poster_options(config);
    options.url = method_url(config.endpoint);
    options.http2 = true;
    options.header_lines.emplace_back("Content-Type: application/grpc");
    options.header_lines.emplace_back("TE: trailers");
    // Eight digits at most: a day of milliseconds fits.
    options.header_lines.push_back(fmt::format("grpc-timeout: {}m", config.timeout.count()));
    if (config.compression == Compression::gzip)
        options.header_lines.emplace_back("grpc-encoding: gzip");
    auto poster = HttpPoster::create(options);
    if (!poster) return poster.error();
    return std::unique_ptr<SpanSender>(new OtlpGrpcSender(config, std::move(*poster)));
}

std::string OtlpGrpcSender::encode(const std::vector<Span>& batch) const {
    return encode_otlp_protobuf(batch);
}

Attempt OtlpGrpcSender::send(const std::string& body, size_t, TimePoint deadline) {
    std::string frame;
    if (compression_ == Compression::gzip) {
        const auto compressed = gzip(body);
        if (!compressed) return not_compressed(compressed.error());
        frame = grpc_frame(*compressed, true);
    } else {
        frame = grpc_frame(body);
    }
    const HttpReply reply = poster_->post(frame, deadline);
    if (reply.status == 0) return no_answer(reply);
    auto status = read_grpc_status(reply.fields);
    if (!status) {
        status.emplace().code = grpc_code_of_http(reply.status);
        status->message = "the answer has no grpc-status";
    }
    return status->code == 0 ? success(reply) : refusal(*status, reply.status);
}

}  // namespace remora
