// SPDX-License-Identifier: Apache-2.0
// Spans as single readable lines:
//   2026-01-31T12:00:00.123456Z SERVER GET /cart 12.4ms front trace=... span=... parent=... k=v ...
#pragma once

#include "agent/export/span_exporter.h"

namespace remora {

// One line without its end; no character in it steers a terminal.
std::string console_line(const Span& span);

class ConsoleExporter : public SpanExporter {
public:
    // Writes to a descriptor of the caller's, e.g. STDERR_FILENO.
    explicit ConsoleExporter(int fd) : fd_(fd) {}

    Result<Delivery> export_spans(const std::vector<Span>& batch,
                                  std::chrono::steady_clock::time_point deadline) override;
    [[nodiscard]] std::string name() const override { return "console"; }
    Status stop(std::chrono::steady_clock::time_point) override { return Done{}; }

private:
    int fd_;
};

}  // namespace remora
