// SPDX-License-Identifier: Apache-2.0
// The stage between records and spans: takes exchanges and processes, hands on finished spans.
// All calls from one thread.
#pragma once

#include "agent/base/span_limits.h"
#include "agent/ingest/record_sink.h"
#include "agent/span/process_span.h"
#include "agent/span/resource_table.h"
#include "agent/span/span_builder.h"
#include "agent/span/span_sink.h"

namespace remora {

class SpanStage : public RecordSink {
public:
    // next is the caller's and must outlive the stage.
    SpanStage(ResourceDefaults defaults, const SpanLimits& limits, CountLoss count_loss,
              SpanSink& next);

    void on_clock(const ClockOffset& clock) override { clock_ = clock; }
    void on_process(const remora_process& process) override;
    void on_exchange(const ExchangeView& exchange) override;
    // Raw bytes are the connection stage's; none come this far.
    void on_open(const remora_open_record&) override {}
    void on_data(const remora_data_record&, ByteView) override {}
    void on_close(const remora_close_record&) override {}
    void on_loss(remora_loss reason, uint64_t count) override { count_loss_(reason, count); }

private:
    void hand_on(Span&& span);

    ClockOffset clock_;
    CountLoss count_loss_;
    ResourceTable resources_;
    SpanBuilder exchanges_;
    ProcessSpanBuilder processes_;
    SpanLimits limits_;
    SpanSink& next_;
};

}  // namespace remora
