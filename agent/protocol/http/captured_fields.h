// SPDX-License-Identifier: Apache-2.0
// Header fields that the user wants on spans: http.request.header.<name> and
// http.response.header.<name>. Agent only.
#pragma once

#include <vector>

#include "agent/protocol/description.h"
#include "bpf/abi/control.h"

namespace remora::protocol::http {

// The fields that go onto spans, of each kind of span and message; none by default. Call it before
// the first describe(): it is not thread-safe.
void set_captured_fields(std::vector<remora_named_field> fields);

// One attribute for each field, with the values of all its lines.
void describe_fields(const ExchangeView& view, Description& out);

}  // namespace remora::protocol::http
