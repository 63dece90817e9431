// SPDX-License-Identifier: Apache-2.0
// What a client's span says of how its connection came about: one event each, at the moment when it
// was over. `duration` is in seconds; a span's own start and end tell when a step began.
//
//   dns             dns.question.name, duration
//   connect         network.peer.address, network.peer.port, duration
//   connect.failed  the same, error.type: an attempt before the one that succeeded
//   tls.handshake   duration; error.type where it failed
//
// And the span of a connection that never was (protocol "connect"): its name, host and error.
#pragma once

#include "agent/ingest/record_sink.h"
#include "agent/protocol/description.h"
#include "agent/span/span.h"

namespace remora {

// Is this exchange the span of a connection that did not come about?
bool is_failed_opening(const ExchangeView& view);

// Name, attributes, status of such a span.
void describe_failed_opening(const ExchangeView& view, Description& out);

// The host whose name was looked up for this connection, "" where there was none.
std::string looked_up_host(const ExchangeView& view);

// Adds the events, in the order of their times. Nothing for other than client spans; a time outside
// of the span is not believed.
void add_opening_events(const ExchangeView& view, const ClockOffset& clock, Span& span);

}  // namespace remora
