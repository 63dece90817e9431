// SPDX-License-Identifier: Apache-2.0
// OTLP over gRPC (OTLP specification 1.x, "OTLP/gRPC"): a unary call over libcurl's HTTP/2, without
// a gRPC library.
#pragma once

#include <memory>
#include <string>

#include "agent/config/config.h"
#include "agent/export/http_poster.h"
#include "agent/export/span_sender.h"

namespace remora {

class OtlpGrpcSender : public SpanSender {
public:
    // Of the endpoint scheme, host and port count.
    static Result<std::unique_ptr<SpanSender>> create(const OtlpConfig& config);

    [[nodiscard]] std::string encode(const std::vector<Span>& batch) const override;
    Attempt send(const std::string& body, size_t spans, TimePoint deadline) override;
    void limit(TimePoint deadline) noexcept override { poster_->limit(deadline); }

private:
    OtlpGrpcSender(const OtlpConfig& config, std::unique_ptr<HttpPoster> poster)
        : compression_(config.compression), poster_(std::move(poster)) {}

    const Compression compression_;
    std::unique_ptr<HttpPoster> poster_;
};

}  // namespace remora
