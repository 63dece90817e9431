// SPDX-License-Identifier: Apache-2.0
// The methods that go onto spans as they are; all others are "_OTHER". Agent only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace remora::protocol::http {

// Replaces the default list, that of the conventions (RFC 9110, PATCH, QUERY), as
// OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS does; an empty list brings it back. Names are
// case-sensitive. Call it before the first describe(): it is not thread-safe.
void set_known_methods(std::vector<std::string> methods);

bool is_known_method(std::string_view method);

}  // namespace remora::protocol::http
