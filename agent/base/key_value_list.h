// SPDX-License-Identifier: Apache-2.0
// "key=value,key=value" with percent-encoded keys and values, the form of OTEL_RESOURCE_ATTRIBUTES
// (OpenTelemetry specification, "Specifying resource information via an environment variable").
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace remora {

using KeyValueList = std::vector<std::pair<std::string, std::string>>;

// All or nothing: one bad entry (no '=', no key, a bad %XX, not UTF-8) discards the whole text, as
// the specification wants. Of a key said twice the last value stands. Blanks around keys and values
// and empty entries are passed over.
Result<KeyValueList> parse_key_value_list(std::string_view text);

}  // namespace remora
