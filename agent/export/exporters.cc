// SPDX-License-Identifier: Apache-2.0
#include "agent/export/exporters.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "agent/export/console_exporter.h"
#include "agent/export/file_exporter.h"
#include "agent/export/otlp_exporter.h"
#include "agent/export/zipkin_exporter.h"

namespace remora {
namespace {

// Who looks at a file or a terminal wants to see a span when it has happened.
BatchConfig local_batches(BatchConfig batch) {
    batch.schedule_delay = std::min(batch.schedule_delay, std::chrono::milliseconds(200));
    return batch;
}

}  // namespace

Result<std::vector<std::unique_ptr<BatchProcessor>>> make_exporters(const Config& config,
                                                                    const CountLoss& count_loss) {
    std::vector<std::unique_ptr<BatchProcessor>> processors;
    std::vector<OtlpConfig> collectors;
    if (config.otlp.enabled) {
        collectors = config.more_otlp;
        collectors.insert(collectors.begin(), config.otlp);
    }
    // All queues together stay within one limit.
    BatchConfig batch = config.batch;
    const size_t remote = collectors.size() + (config.zipkin.enabled ? 1 : 0);
    batch.max_queue_bytes /= std::max<size_t>(remote, 1) + (config.output.empty() ? 0 : 1);
    for (const OtlpConfig& collector : collectors) {
        auto otlp =
            make_otlp_exporter(collector, count_loss, std::random_device()(), {}, config.spool);
        if (!otlp) return otlp.error();
        processors.push_back(std::make_unique<BatchProcessor>(std::move(*otlp), batch, count_loss));
    }
    if (config.zipkin.enabled) {
        auto zipkin = make_zipkin_exporter(config.zipkin, count_loss, std::random_device()(), {},
                                           config.spool);
        if (!zipkin) return zipkin.error();
        processors.push_back(
            std::make_unique<BatchProcessor>(std::move(*zipkin), batch, count_loss));
    }
    const BatchConfig local = local_batches(batch);
    if (!config.output.empty()) {
        auto file = FileExporter::create(config.output);
        if (!file) return file.error();
        processors.push_back(std::make_unique<BatchProcessor>(std::move(*file), local, count_loss));
    }
    if (config.console)
        processors.push_back(std::make_unique<BatchProcessor>(
            std::make_unique<ConsoleExporter>(STDERR_FILENO), local, count_loss));
    return processors;
}

void stop_exporters(const std::vector<std::unique_ptr<BatchProcessor>>& processors,
                    BatchProcessor::TimePoint deadline) {
    for (const auto& processor : processors) processor->begin_stop(deadline);
    for (const auto& processor : processors) processor->stop(deadline);
}

}  // namespace remora
