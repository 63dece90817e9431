// SPDX-License-Identifier: Apache-2.0
#include "agent/export/zipkin_exporter.h"

#include "agent/base/printable.h"
#include "agent/config/parse_value.h"
#include "agent/export/http_answers.h"
#include "agent/export/zipkin_json.h"

namespace remora {
namespace {

class ZipkinSender : public SpanSender {
public:
    explicit ZipkinSender(std::unique_ptr<HttpPoster> poster) : poster_(std::move(poster)) {}

    [[nodiscard]] std::string encode(const std::vector<Span>& batch) const override {
        return encode_zipkin_json(batch);
    }
    Attempt send(const std::string& body, size_t, TimePoint deadline) override {
        const HttpReply reply = poster_->post(body, deadline);
        if (reply.status >= 200 && reply.status < 300) {
            Attempt attempt;
            attempt.outcome = Attempt::Outcome::delivered;
            return attempt;
        }
        return failed_attempt(reply, reply.body.substr(0, reply.body.find('\n')));
    }
    void limit(TimePoint deadline) noexcept override { poster_->limit(deadline); }

private:
    std::unique_ptr<HttpPoster> poster_;
};

}  // namespace

Result<std::unique_ptr<RetryingExporter>> make_zipkin_exporter(const ZipkinConfig& config,
                                                               CountLoss count_loss, uint64_t seed,
                                                               FailureLog::Write log,
                                                               const SpoolConfig& spool) {
    HttpPosterOptions http;
    http.url = config.endpoint;
    http.header_lines.emplace_back("Content-Type: application/json");
    auto poster = HttpPoster::create(http);
    if (!poster) return poster.error();
    const std::string where = without_secrets(config.endpoint);
    auto opened = open_spool(spool, "zipkin " + where, count_loss);
    if (!opened) return opened.error();
    RetryOptions options;
    options.what = "Zipkin export to " + printable(where);
    options.timeout = config.timeout;
    options.seed = seed;
    options.log = std::move(log);
    return std::make_unique<RetryingExporter>(std::make_unique<ZipkinSender>(std::move(*poster)),
                                              std::move(options), std::move(count_loss),
                                              std::move(*opened));
}

}  // namespace remora
