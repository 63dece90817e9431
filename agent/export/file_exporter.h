// SPDX-License-Identifier: Apache-2.0
// OTLP/JSON lines in a file: one export request per line (opentelemetry-specification, "OTLP File
// Exporter"). The file is emptied first.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "agent/base/unique_fd.h"
#include "agent/export/failure_log.h"
#include "agent/export/span_exporter.h"

namespace remora {

class FileExporter : public SpanExporter {
public:
    static Result<std::unique_ptr<FileExporter>> create(const std::string& path);

    // A batch that could not be written whole leaves no half line behind in a regular file.
    Status export_spans(const std::vector<Span>& batch,
                        std::chrono::steady_clock::time_point deadline) override;
    Status stop(std::chrono::steady_clock::time_point deadline) override;

private:
    FileExporter(std::string path, UniqueFd fd);

    std::string path_;
    UniqueFd fd_;
    FailureLog log_;
};

}  // namespace remora
