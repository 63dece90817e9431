// SPDX-License-Identifier: Apache-2.0
#include "agent/export/file_exporter.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/printable.h"
#include "agent/export/otlp_json.h"

namespace remora {

Result<std::unique_ptr<FileExporter>> FileExporter::create(const std::string& path) {
    auto fd = open_output_file(path, "the output file");
    if (!fd) return fd.error();
    return std::unique_ptr<FileExporter>(new FileExporter(path, std::move(*fd)));
}

FileExporter::FileExporter(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), log_("writing spans to " + printable(path_)) {}

Result<Delivery> FileExporter::export_spans(const std::vector<Span>& batch,
                                            std::chrono::steady_clock::time_point deadline) {
    const Status status = write(encode_otlp_json(batch) + '\n', deadline);
    if (status) {
        log_.succeeded();
        return Delivery::sent;
    }
    const int number = status.error().number;
    const std::string why =
        number == ETIMEDOUT ? "its reader does not read" : std::strerror(number);
    log_.failed(why, batch.size(), std::chrono::steady_clock::now());
    return Error{"cannot write to " + path_, number};
}

// A line that can't be written whole is taken back from a regular file. A pipe's reader has its
// beginning already: the rest goes out before the next line.
Status FileExporter::write(std::string line, std::chrono::steady_clock::time_point deadline) {
    const size_t of_before = rest_.size();
    const std::string text = std::exchange(rest_, {}) + std::move(line);
    std::string_view left = text;
    const off_t begin = ::lseek(fd_.get(), 0, SEEK_CUR);  // -1: a pipe or terminal
    const Status status = writer_.write(fd_.get(), left, deadline);
    const size_t written = text.size() - left.size();
    if (status) return status;
    if (begin >= 0) {
        // Only where nobody else wrote behind it: the file may be the program's log as well.
        const off_t end = begin + static_cast<off_t>(written);
        if (written > 0 && ::lseek(fd_.get(), 0, SEEK_CUR) == end &&
            ::ftruncate(fd_.get(), begin) == 0)
            ::lseek(fd_.get(), begin, SEEK_SET);
    } else if (status.error().number == ETIMEDOUT) {
        const size_t end = written > of_before ? text.size() : of_before;
        rest_ = text.substr(written, end - written);
    }
    return status;
}

void FileExporter::hurry(std::chrono::steady_clock::time_point deadline) noexcept {
    writer_.limit(deadline);
}

Status FileExporter::stop(std::chrono::steady_clock::time_point) { return Done{}; }

}  // namespace remora
