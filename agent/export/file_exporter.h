// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON lines in a file: one export request per line (opentelemetry-specification, "OTLP File
// Exporter"). The file is emptied first. A FIFO's reader may be slow: what it has not taken at the
// deadline of a batch is dropped, but for the rest of a line that it has seen the beginning of.
#pragma once

#include <memory>
#include <string>

#include "agent/base/output_file.h"
#include "agent/base/unique_fd.h"
#include "agent/export/failure_log.h"
#include "agent/export/span_exporter.h"

namespace remora {

class FileExporter : public SpanExporter {
public:
    static Result<std::unique_ptr<FileExporter>> create(const std::string& path);

    // A batch that could not be written whole leaves no half line behind in a regular file.
    Result<Delivery> export_spans(const std::vector<Span>& batch,
                                  std::chrono::steady_clock::time_point deadline) override;
    [[nodiscard]] std::string name() const override { return path_; }
    void hurry(std::chrono::steady_clock::time_point deadline) noexcept override;
    Status stop(std::chrono::steady_clock::time_point deadline) override;

private:
    FileExporter(std::string path, UniqueFd fd);

    Status write(std::string line, std::chrono::steady_clock::time_point deadline);

    std::string path_;
    UniqueFd fd_;
    OutputWriter writer_;
    std::string rest_;  // of a line that a reader saw the beginning of
    FailureLog log_;
};

}  // namespace remora
