// SPDX-License-Identifier: Apache-2.0
// The forms in which a collector's address may be given: an http:// or https:// URL, unix:PATH or
// unix://PATH, and HOST:PORT without a scheme, as gRPC names have it.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/config/config.h"

namespace remora {

Result<std::string> parse_otlp_endpoint(std::string_view text);

// Sets endpoint and unix_socket from a text that was parsed. is_base: /v1/traces is appended.
// insecure: what has no scheme is http, without it https where the protocol is grpc.
void set_otlp_endpoint(OtlpConfig& otlp, const std::string& text, bool is_base, bool insecure);

}  // namespace remora
