// SPDX-License-Identifier: Apache-2.0
// OTEL_RESOURCE_ATTRIBUTES: "key=value,key=value", percent-encoded as W3C Baggage values are
// (OpenTelemetry specification, "Specifying resource information via an environment variable").
#pragma once

#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/protocol/description.h"

namespace remora {

// All or nothing: one bad entry (no '=', no key, a bad %XX, not UTF-8) discards the whole text, as
// the specification wants. Of a key said twice the last value stands. Blanks around keys and values
// and empty entries are passed over.
Result<std::vector<Attribute>> parse_resource_attributes(std::string_view text);

}  // namespace remora
