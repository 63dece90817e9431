// SPDX-License-Identifier: Apache-2.0
// A destination of finished spans. export_spans() is called from the batcher's threads, at most
// most_in_flight() of them at a time.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/export/export_counts.h"
#include "agent/span/span.h"

namespace remora {

enum class Delivery : uint8_t {
    sent,
    spooled,  // kept on disk: it will be sent later, perhaps by the next agent
};

class SpanExporter {
public:
    virtual ~SpanExporter() = default;
    // Sends or writes a batch. An error is final for this batch: retries are inside, and end at
    // the deadline. A partial success is not an error; the exporter counts and reports it.
    virtual Result<Delivery> export_spans(const std::vector<Span>& batch,
                                          std::chrono::steady_clock::time_point deadline) = 0;
    // For people: "OTLP export to http://...".
    [[nodiscard]] virtual std::string name() const { return "export"; }
    [[nodiscard]] virtual size_t most_in_flight() const { return 1; }
    // Is a batch kept even when its deadline has passed?
    [[nodiscard]] virtual bool has_spool() const { return false; }
    // Adds what the exporter itself counts: replayed and spooled spans. Any thread.
    virtual void add_counts(ExportCounts& /*counts*/) const {}
    // The agent is about to leave: whatever is running or still comes has to end by then. From any
    // thread.
    virtual void hurry(std::chrono::steady_clock::time_point /*deadline*/) noexcept {}
    // Flushes what is buffered. Idempotent.
    virtual Status stop(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace remora
