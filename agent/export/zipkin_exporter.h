// SPDX-License-Identifier: Apache-2.0
// Zipkin v2 over HTTP. Tries again where OTLP over HTTP does; Zipkin's own rules name no status.
#pragma once

#include <memory>

#include "agent/config/config.h"
#include "agent/export/retrying_exporter.h"

namespace remora {

// seed: of the jitter. log: for tests. spool: an error where its directory can't be used.
Result<std::unique_ptr<RetryingExporter>> make_zipkin_exporter(const ZipkinConfig& config,
                                                               CountLoss count_loss, uint64_t seed,
                                                               FailureLog::Write log = {},
                                                               const SpoolConfig& spool = {});

}  // namespace remora
