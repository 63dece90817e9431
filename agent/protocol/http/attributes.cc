// SPDX-License-Identifier: Apache-2.0
// HTTP spans by OpenTelemetry's stable conventions. Everything captured is untrusted.
#include "agent/protocol/description.h"

namespace remora::protocol::http {

void describe(const ExchangeView&, Description& out) { out.name = "HTTP"; }

}  // namespace remora::protocol::http
