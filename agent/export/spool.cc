// SPDX-License-Identifier: Apache-2.0
#include "agent/export/spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/export/spool_folder.h"

namespace remora {
namespace {

constexpr size_t largest_segment = size_t{4} << 20;

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const SpoolOptions& options, CountLoss count_loss) {
    std::unique_ptr<Spool> spool(new Spool(options, std::move(count_loss)));
    if (Status status = make_spool_folder(options.directory); !status) return status.error();
    if (Status status = spool->take_folder(options); !status) return status.error();
    if (Status status = spool->load(); !status) return status.error();
    // What agents left behind that used the directory beside another one.
    for (int n = 0; n < spool_folders; ++n) {
        const std::string other = spool_folder_path(options.directory, options.destination, n);
        if (other != spool->folder_ && ::access(other.c_str(), F_OK) == 0) spool->adopt(other);
    }
    return spool;
}

Status Spool::take_folder(const SpoolOptions& options) {
    Error last{"too many agents share the spool " + options.directory};
    for (int n = 0; n < spool_folders; ++n) {
        folder_ = spool_folder_path(options.directory, options.destination, n);
        if (Status status = make_spool_folder(folder_); !status) return status;
        auto lock = lock_spool_folder(folder_);
        if (lock) {
            lock_ = std::move(*lock);
            return Done{};
        }
        if (lock.error().number != EWOULDBLOCK) return lock.error();
    }
    return last;
}

Status Spool::load() {
    auto cursor = open_spool_cursor(folder_);
    if (!cursor) return cursor.error();
    cursor_ = std::move(*cursor);
    const SpoolCursor at = read_spool_cursor(cursor_.get());
    for (const SegmentFile& file : list_segments(folder_)) {
        auto segment =
            load_segment(file.path, file.number, file.number == at.segment ? at.offset : 0);
        if (!segment) return segment.error();
        next_number_ = file.number + 1;
        keep(std::move(*segment));
    }
    return Done{};
}

// Finds the end of the last whole record; what was torn behind it is left out.
Result<Spool::Segment> Spool::load_segment(const std::string& path, uint64_t number, off_t begin) {
    Segment segment;
    segment.number = number;
    segment.fd.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    struct stat file {};
    if (!segment.fd || ::fstat(segment.fd.get(), &file) != 0)
        return Error{"cannot open the spool segment " + path, errno};
    segment.begin = segment.end = std::min(begin, file.st_size);
    while (const auto place = find_spool_record(segment.fd.get(), segment.end, file.st_size)) {
        segment.spans += place->header.spans;
        segment.end = place->end();
    }
    // Its writer was killed within a record.
    if (segment.end < file.st_size) count_loss_(REMORA_LOSS_spool_damaged, 1);
    return segment;
}

// Takes the segments of a folder that nobody uses any more, behind our own.
void Spool::adopt(const std::string& folder) {
    const auto lock = lock_spool_folder(folder);
    if (!lock) return;
    for (const SegmentFile& file : list_segments(folder)) {
        const uint64_t number = next_number_++;
        const std::string path = segment_path(folder_, number);
        if (::rename(file.path.c_str(), path.c_str()) != 0) continue;
        if (auto segment = load_segment(path, number, 0)) keep(std::move(*segment));
    }
}

void Spool::keep(Segment segment) {
    if (segment.end > segment.begin)
        segments_.push_back(std::move(segment));
    else
        ::unlink(path_of(segment.number).c_str());
}

Status Spool::append(std::string_view body, size_t spans) {
    const std::lock_guard lock(mutex_);
    const size_t bytes = body.size() + sizeof(SpoolRecordHeader);
    if (bytes > limit_) return Error{"one request is larger than the spool (REMORA_SPOOL_LIMIT)"};
    make_room(bytes);
    for (;;) {
        const Status status = write(body, spans);
        if (status || segments_.empty()) return status;
        if (status.error().number != ENOSPC && status.error().number != EDQUOT) return status;
        drop_oldest();  // a full disk is a limit, too
    }
}

Status Spool::write(std::string_view body, size_t spans) {
    const size_t segment_limit = std::clamp<size_t>(limit_ / 8, 1, largest_segment);
    if (appending_ && static_cast<size_t>(segments_.back().end) >= segment_limit)
        appending_ = false;
    if (!appending_)
        if (Status status = begin_segment(); !status) return status;
    Segment& segment = segments_.back();
    const Status status =
        append_spool_record(segment.fd.get(), segment.end, body, static_cast<uint32_t>(spans));
    if (!status) return Error{"cannot write to the spool " + folder_, status.error().number};
    segment.end += static_cast<off_t>(body.size() + sizeof(SpoolRecordHeader));
    segment.spans += spans;
    return status;
}

Status Spool::begin_segment() {
    Segment segment;
    segment.number = next_number_;
    const std::string path = path_of(segment.number);
    segment.fd.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!segment.fd) return Error{"cannot write to the spool " + folder_, errno};
    ++next_number_;
    segments_.push_back(std::move(segment));
    appending_ = true;
    return Done{};
}

void Spool::make_room(size_t bytes) {
    while (!segments_.empty() && used_bytes() + bytes > limit_) drop_oldest();
}

void Spool::drop_oldest() {
    if (const uint64_t spans = segments_.front().spans; spans > 0)
        count_loss_(REMORA_LOSS_spool_full, spans);
    remove_oldest();
}

void Spool::remove_oldest() {
    ::unlink(path_of(segments_.front().number).c_str());
    segments_.pop_front();
    if (segments_.empty()) appending_ = false;
}

std::optional<Spool::Body> Spool::oldest() {
    const std::lock_guard lock(mutex_);
    reading_.reset();
    while (!segments_.empty()) {
        Segment& segment = segments_.front();
        const auto place = find_spool_record(segment.fd.get(), segment.begin, segment.end);
        if (!place) {
            remove_oldest();
            continue;
        }
        // Bytes before it that are no record were one, whose number of spans nobody knows.
        if (place->offset > segment.begin) count_loss_(REMORA_LOSS_spool_damaged, 1);
        segment.begin = place->offset;
        if (auto bytes = read_spool_body(segment.fd.get(), *place)) {
            reading_ = place;
            reading_number_ = segment.number;
            return Body{std::move(*bytes), place->header.spans};
        }
        count_loss_(REMORA_LOSS_spool_damaged, place->header.spans);
        segment.begin = place->end();
        segment.spans -= std::min<uint64_t>(segment.spans, place->header.spans);
    }
    return std::nullopt;
}

void Spool::done() {
    const std::lock_guard lock(mutex_);
    // The segment may have been dropped meanwhile.
    if (!reading_ || segments_.empty() || segments_.front().number != reading_number_) return;
    Segment& segment = segments_.front();
    segment.begin = reading_->end();
    segment.spans -= std::min<uint64_t>(segment.spans, reading_->header.spans);
    reading_.reset();
    if (segment.begin >= segment.end) {
        remove_oldest();
        return;
    }
    write_spool_cursor(cursor_.get(), {segment.number, segment.begin});
}

Spool::Pending Spool::pending() const {
    const std::lock_guard lock(mutex_);
    Pending pending;
    for (const Segment& segment : segments_) {
        pending.spans += segment.spans;
        pending.bytes += static_cast<uint64_t>(segment.end - segment.begin);
    }
    return pending;
}

uint64_t Spool::used_bytes() const {
    uint64_t bytes = 0;
    for (const Segment& segment : segments_) bytes += static_cast<uint64_t>(segment.end);
    return bytes;
}

std::string Spool::path_of(uint64_t number) const { return segment_path(folder_, number); }

}  // namespace remora
