// SPDX-License-Identifier: Apache-2.0
// Builds the span of one exchange. The protocol says what was asked and answered; what is the same
// for all protocols is here: ids, parent, times, kind, the peer, and how the exchange ended.
//
// Attributes of our own, where the conventions have none:
//   remora.join        how the span came to its parent: root remote header origin carrier thread
//                      process program
//   remora.end         how the exchange ended, unless it was complete: local peer error tunnel
//                      idle process unfollowed
//   remora.batch.size  messages of a pipelined batch, where the protocol has no attribute for it
// Events: first_byte, on client spans: the first byte of the response; and those of
// opening_events.h.
#pragma once

#include <memory>
#include <optional>

#include "agent/ingest/record_sink.h"
#include "agent/protocol/description.h"
#include "agent/span/span.h"
#include "agent/span/span_sink.h"

namespace remora {

class SpanBuilder {
public:
    explicit SpanBuilder(CountLoss count_loss) : count_loss_(std::move(count_loss)) {}

    // Nothing (counted as record_invalid) when the record has no ids. Times that make no sense are
    // mended and counted too.
    std::optional<Span> build(const ExchangeView& view, const ClockOffset& clock,
                              std::shared_ptr<const Resource> resource) const;

private:
    CountLoss count_loss_;
};

}  // namespace remora
