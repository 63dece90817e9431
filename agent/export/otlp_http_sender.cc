// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_http_sender.h"

#include <algorithm>

#include "agent/export/gzip.h"
#include "agent/export/http_answers.h"
#include "agent/export/otlp_json.h"

namespace remora {
namespace {

OtlpResponse read_body(const HttpReply& reply, bool success) {
    // Collectors answer in the format of the request, proxies in front of them in any.
    if (reply.content_type.rfind("application/json", 0) == 0)
        return decode_otlp_json_response(reply.body);
    if (reply.content_type.rfind("application/x-protobuf", 0) == 0)
        return success ? decode_otlp_response(reply.body) : decode_otlp_status(reply.body);
    OtlpResponse plain;
    if (!success) plain.message = reply.body.substr(0, reply.body.find('\n'));
    return plain;
}

Attempt read_success(const HttpReply& reply) {
    Attempt attempt;
    attempt.outcome = Attempt::Outcome::delivered;
    if (reply.body.empty()) return attempt;
    const OtlpResponse response = read_body(reply, true);
    if (!response.readable) {
        attempt.remark = "the answer is not OTLP (is the endpoint an OTLP/HTTP receiver?)";
        return attempt;
    }
    attempt.rejected = static_cast<size_t>(std::max<int64_t>(response.rejected_spans, 0));
    attempt.remark = quoted_remark(response.message);
    return attempt;
}

}  // namespace

Result<std::unique_ptr<SpanSender>> OtlpHttpSender::create(const OtlpConfig& config) {
    HttpPosterOptions options = poster_options(config);
    const bool json = config.protocol == OtlpProtocol::http_json;
    options.header_lines.push_back(json ? "Content-Type: application/json"
                                        : "Content-Type: application/x-protobuf");
    if (config.compression == Compression::gzip)
        options.header_lines.emplace_back("Content-Encoding: gzip");
    auto poster = HttpPoster::create(options);
    if (!poster) return poster.error();
    return std::unique_ptr<SpanSender>(new OtlpHttpSender(config, std::move(*poster)));
}

std::string OtlpHttpSender::encode(const std::vector<Span>& batch) const {
    return protocol_ == OtlpProtocol::http_json ? encode_otlp_json(batch)
                                                : encode_otlp_protobuf(batch);
}

Attempt OtlpHttpSender::send(const std::string& body, size_t, TimePoint deadline) {
    std::string compressed;
    if (compression_ == Compression::gzip) {
        auto done = gzip(body);
        if (!done) return not_compressed(done.error());
        compressed = std::move(*done);
    }
    const HttpReply reply =
        poster_->post(compression_ == Compression::gzip ? compressed : body, deadline);
    if (reply.status >= 200 && reply.status < 300) return read_success(reply);
    return failed_attempt(reply, reply.status == 0 ? "" : read_body(reply, false).message);
}

}  // namespace remora
