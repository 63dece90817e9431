// SPDX-License-Identifier: Apache-2.0
// How much a span may hold (OpenTelemetry specification, "Span limits"). Plain numbers, shared by
// the configuration that reads them and the stage that applies them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora {

struct SpanLimits {
    static constexpr size_t unlimited = SIZE_MAX;
    size_t attribute_value_length = unlimited;  // characters of a text
    size_t attributes = 128;
    size_t events = 128;
    size_t links = 128;
    size_t event_attributes = 128;  // of each event
    size_t link_attributes = 128;   // of each link
};

}  // namespace remora
