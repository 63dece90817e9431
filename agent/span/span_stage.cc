// SPDX-License-Identifier: Apache-2.0
#include "agent/span/span_stage.h"

#include "agent/span/apply_limits.h"

namespace remora {

SpanStage::SpanStage(ResourceDefaults defaults, const SpanLimits& limits, CountLoss count_loss,
                     SpanSink& next)
    : count_loss_(count_loss),
      resources_(std::move(defaults), count_loss),
      exchanges_(count_loss),
      processes_(count_loss),
      limits_(limits),
      next_(next) {}

void SpanStage::on_process(const remora_process& process) {
    resources_.update(process);
    if (process.end_ns == 0 || !should_export_process_span(process)) return;
    if (!resources_.take_process_span(process.image)) return;
    hand_on(processes_.build(process, clock_, resources_.find(process.image)));
}

void SpanStage::on_exchange(const ExchangeView& exchange) {
    auto span = exchanges_.build(
        exchange, clock_, resources_.find(exchange.exchange.image, exchange.exchange.process_id));
    if (span) hand_on(std::move(*span));
}

void SpanStage::hand_on(Span&& span) {
    apply_limits(limits_, span);
    next_.on_span(std::move(span));
}

}  // namespace remora
