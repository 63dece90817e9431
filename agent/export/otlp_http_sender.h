// SPDX-License-Identifier: Apache-2.0
// OTLP over HTTP, as protobuf or JSON (OTLP specification 1.x, "OTLP/HTTP"): worth another try are
// 429, 502, 503, 504 and no answer at all, nothing else; Retry-After is passed on.
#pragma once

#include <memory>
#include <string>

#include "agent/config/config.h"
#include "agent/export/http_poster.h"
#include "agent/export/otlp_protobuf.h"
#include "agent/export/span_sender.h"

namespace remora {

class OtlpHttpSender : public SpanSender {
public:
    static Result<std::unique_ptr<SpanSender>> create(const OtlpConfig& config);

    [[nodiscard]] std::string encode(const std::vector<Span>& batch) const override;
    Attempt send(const std::string& body, size_t spans, TimePoint deadline) override;
    void limit(TimePoint deadline) noexcept override { poster_->limit(deadline); }

private:
    OtlpHttpSender(const OtlpConfig& config, std::unique_ptr<HttpPoster> poster)
        : protocol_(config.protocol),
          compression_(config.compression),
          poster_(std::move(poster)) {}

    const OtlpProtocol protocol_;
    const Compression compression_;
    std::unique_ptr<HttpPoster> poster_;
};

}  // namespace remora
