// SPDX-License-Identifier: Apache-2.0
// From what a protocol captured to what a span says: names, attributes, status by OpenTelemetry's
// semantic conventions. Agent only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "agent/base/bytes.h"
#include "bpf/abi/record.h"

namespace remora {

using AttributeValue = std::variant<std::string, int64_t, double, bool, std::vector<std::string>>;

struct Attribute {
    std::string key;
    AttributeValue value;
};

// A finished exchange as it came off the ring: validated sizes, untrusted content. Views are valid
// during the call.
struct ExchangeView {
    const remora_exchange& exchange;
    ByteView request;  // what the protocol's parser captured of the request
    ByteView tracestate;
    ByteView response;
    ByteView opening{};  // a struct remora_opening, not aligned and not checked; or empty
};

enum class StatusCode : uint8_t { unset, ok, error };

// Filled by a protocol's describe(). The generic part (ids, times, kind, network.peer.*, how it
// ended) is the span builder's.
struct Description {
    std::string name;  // low cardinality
    std::vector<Attribute> attributes;
    StatusCode status = StatusCode::unset;
    std::string status_message;
    std::string error_type;  // becomes error.type

    void set(std::string key, AttributeValue value) {
        attributes.push_back({std::move(key), std::move(value)});
    }
};

using Describe = void (*)(const ExchangeView& exchange, Description& out);
// By the name in the record; nullptr: unknown. Generated from the folders' names.
Describe find_describe(std::string_view protocol);

// "192.0.2.1", "2001:db8::1", "" for unix and unknown.
std::string address_text(const remora_address& address);

}  // namespace remora
