// SPDX-License-Identifier: Apache-2.0
#include "agent/export/otlp_exporter.h"

#include "agent/base/printable.h"
#include "agent/config/parse_value.h"
#include "agent/export/otlp_grpc_sender.h"
#include "agent/export/otlp_http_sender.h"

namespace remora {

Result<std::unique_ptr<RetryingExporter>> make_otlp_exporter(const OtlpConfig& config,
                                                             CountLoss count_loss, uint64_t seed,
                                                             FailureLog::Write log,
                                                             const SpoolConfig& spool) {
    auto sender = config.protocol == OtlpProtocol::grpc ? OtlpGrpcSender::create(config)
                                                        : OtlpHttpSender::create(config);
    if (!sender) return sender.error();
    const std::string where = config.unix_socket.empty() ? without_secrets(config.endpoint)
                                                         : "unix:" + config.unix_socket;
    RetryOptions options;
    options.what = "OTLP export to " + printable(where);
    options.timeout = config.timeout;
    options.seed = seed;
    options.log = std::move(log);
    // Protobuf is the same over HTTP and gRPC: what one could not send the other may.
    const bool json = config.protocol == OtlpProtocol::http_json;
    auto opened = open_spool(spool, (json ? "otlp json " : "otlp protobuf ") + where, count_loss);
    if (!opened) return opened.error();
    return std::make_unique<RetryingExporter>(std::move(*sender), std::move(options),
                                              std::move(count_loss), std::move(*opened));
}

}  // namespace remora
