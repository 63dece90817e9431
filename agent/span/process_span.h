// SPDX-License-Identifier: Apache-2.0
// The span of a whole process image: parent of its calls and of its children's process spans.
// Attributes by the conventions for command line programs.
#pragma once

#include <memory>

#include "agent/ingest/record_sink.h"
#include "agent/span/span.h"
#include "agent/span/span_sink.h"

namespace remora {

// A server's process span would never end; it is exported only when its id went out as a parent
// (no id on the wire that is not exported). A fork without an image of its own has no span.
bool should_export_process_span(const remora_process& process);

class ProcessSpanBuilder {
public:
    explicit ProcessSpanBuilder(CountLoss count_loss) : count_loss_(std::move(count_loss)) {}

    // Ends at process.end_ns; a process whose end was not seen ends where it started. Status error
    // when the exit code is known and not 0.
    Span build(const remora_process& process, const ClockOffset& clock,
               std::shared_ptr<const Resource> resource) const;

private:
    CountLoss count_loss_;
};

}  // namespace remora
