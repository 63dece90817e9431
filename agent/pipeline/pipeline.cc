// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/pipeline.h"

#include "agent/export/exporters.h"
#include "agent/protocol/http/captured_fields.h"
#include "agent/protocol/http/known_methods.h"

namespace remora {

Result<std::unique_ptr<Pipeline>> Pipeline::create(const Config& config,
                                                   const std::string& record_file) {
    std::unique_ptr<Pipeline> pipeline{new Pipeline};
    const CountLoss count_loss = [losses = &pipeline->losses_](remora_loss reason,
                                                               uint64_t number) {
        losses->count(reason, number);
    };

    protocol::http::set_known_methods(config.http_known_methods);
    protocol::http::set_captured_fields(config.named_fields);
    auto exporters = make_exporters(config, count_loss);
    if (!exporters) return exporters.error();
    pipeline->exporters_ = std::move(*exporters);
    auto view = make_terminal_view(config);
    if (!view) return view.error();
    pipeline->view_ = std::move(*view);
    std::vector<SpanSink*> outputs;
    if (pipeline->view_) outputs.push_back(pipeline->view_.get());
    for (const auto& exporter : pipeline->exporters_) outputs.push_back(exporter.get());
    pipeline->outputs_ = std::make_unique<SpanFanOut>(outputs);

    pipeline->kept_ = std::make_unique<SpanCounter>(*pipeline->outputs_);
    pipeline->tail_sampler_ = std::make_unique<TailSampler>(*pipeline->kept_);
    pipeline->seen_ = std::make_unique<SpanCounter>(*pipeline->tail_sampler_);
    pipeline->spans_ = std::make_unique<SpanStage>(
        ResourceDefaults{config.service_name, config.resource_attributes,
                         config.refused_resource_attributes},
        config.limits, count_loss, *pipeline->seen_);
    AssemblerOptions assembler;
    assembler.sampler = config.sampler;
    assembler.named_fields = config.named_fields;
    assembler.trace_telemetry = config.trace_telemetry;
    assembler.idle_limit_ns = std::chrono::nanoseconds(config.idle_limit).count();
    pipeline->connections_ = std::make_unique<ConnectionAssembler>(assembler, *pipeline->spans_);
    pipeline->entrance_ = pipeline->connections_.get();

    if (!record_file.empty()) {
        auto recorder = Recorder::create(record_file, *pipeline->entrance_);
        if (!recorder) return recorder.error();
        pipeline->recorder_ = std::move(*recorder);
        pipeline->entrance_ = pipeline->recorder_.get();
    }
    if (!config.metrics_listen.empty()) {
        auto metrics = MetricsServer::start(config.metrics_listen, [numbers = pipeline.get()] {
            return metrics_text(numbers->numbers());
        });
        if (!metrics) return metrics.error();
        pipeline->metrics_ = std::move(*metrics);
    }
    return pipeline;
}

// Without stop() nothing is drained and nothing shown: the program did not even start.
Pipeline::~Pipeline() {
    if (lanes_) lanes_->stop();
}

LaneSource& Pipeline::follow(std::unique_ptr<LaneSource> source, ControlPage& page) {
    lanes_ = std::make_unique<LanePoller>(std::move(source), page, *entrance_);
    lanes_->start();
    return lanes_->source();
}

Result<ReplayCounts> Pipeline::replay(ReplaySource& source) { return source.run(*entrance_); }

void Pipeline::stop(std::chrono::steady_clock::time_point deadline) {
    if (lanes_) lanes_->stop();
    if (recorder_) recorder_->flush();
    if (connections_) connections_->stop();
    if (tail_sampler_) tail_sampler_->stop(deadline);
    stop_exporters(exporters_, deadline);
    if (view_) view_->stop(deadline);
    if (metrics_) metrics_->stop();
}

AgentNumbers Pipeline::numbers() const {
    AgentNumbers numbers;
    numbers.spans_seen = seen_->count();
    numbers.spans_kept = kept_->count();
    for (unsigned i = 0; i < REMORA_LOSS_COUNT; ++i) {
        const auto reason = static_cast<remora_loss>(i);
        numbers.losses.emplace_back(loss_name(reason), losses_.of(reason));
    }
    for (const auto& exporter : exporters_)
        numbers.destinations.emplace_back(exporter->name(), exporter->counts());
    return numbers;
}

std::optional<ExportCounts> Pipeline::exported() const {
    std::optional<ExportCounts> least;
    for (const auto& exporter : exporters_) {
        const ExportCounts counts = exporter->counts();
        if (!least || counts.exported < least->exported) least = counts;
    }
    return least;
}

}  // namespace remora
