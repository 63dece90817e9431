// SPDX-License-Identifier: Apache-2.0
#include "agent/export/file_exporter.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/printable.h"
#include "agent/base/write_all.h"
#include "agent/export/otlp_json.h"

namespace remora {

Result<std::unique_ptr<FileExporter>> FileExporter::create(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
    if (!fd) return Error{"cannot open the output file " + printable(path), errno};
    return std::unique_ptr<FileExporter>(new FileExporter(path, std::move(fd)));
}

FileExporter::FileExporter(std::string path, UniqueFd fd)
    : path_(std::move(path)), fd_(std::move(fd)), log_("writing spans to " + printable(path_)) {}

Status FileExporter::export_spans(const std::vector<Span>& batch,
                                  std::chrono::steady_clock::time_point) {
    const off_t before = ::lseek(fd_.get(), 0, SEEK_CUR);  // -1: a pipe or terminal
    const Status status = write_all(fd_.get(), encode_otlp_json(batch) + '\n');
    if (status) {
        log_.succeeded();
        return status;
    }
    if (before >= 0 && ::ftruncate(fd_.get(), before) == 0) ::lseek(fd_.get(), before, SEEK_SET);
    const std::string why = std::strerror(status.error().number);
    log_.failed(why, batch.size(), std::chrono::steady_clock::now());
    return Error{"cannot write to " + path_, status.error().number};
}

Status FileExporter::stop(std::chrono::steady_clock::time_point) { return Done{}; }

}  // namespace remora
