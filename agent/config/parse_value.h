// SPDX-License-Identifier: Apache-2.0
// Texts of variables and flags as values. Errors say what the value must be, as the end of a
// sentence: "must be a whole number from 1 to 10".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace remora {

// Decimal digits only.
Result<uint64_t> parse_whole_number(std::string_view text, uint64_t least, uint64_t most);

// OpenTelemetry specification, "Boolean value": "true" in any case is true, "false" false, anything
// else is an error (and counts as false).
Result<bool> parse_otel_boolean(std::string_view text);
// Our own variables take 1 and 0 as well.
Result<bool> parse_own_boolean(std::string_view text);

// An http or https URL with a host and without blanks or control characters.
Result<std::string> parse_http_url(std::string_view text);

// A name of a header field (RFC 9110, 5.6.2).
bool is_token(std::string_view text);

using Headers = std::vector<std::pair<std::string, std::string>>;
// OTEL_EXPORTER_OTLP_HEADERS: "name=value,name=value", values percent-encoded. An error where a
// name is no token (RFC 9110, 5.6.2) or a value has control characters.
Result<Headers> parse_headers(std::string_view text);

// base + "/v1/traces" (OTLP specification, "Endpoint URLs for OTLP/HTTP"); queries are kept.
std::string traces_url(std::string_view base);

// The URL without its secrets: userinfo and the values of its query are masked. Text that is no URL
// is masked up to its last '@'.
std::string without_secrets(std::string_view url);

}  // namespace remora
