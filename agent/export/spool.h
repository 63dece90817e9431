// SPDX-License-Identifier: Apache-2.0
// Request bodies on disk until their destination takes them, in the order in which they came.
//
//   DIR/<destination>-<n>/lock      held while an agent uses the folder; each agent has its own
//                         0000000000000007.segment, ...   append-only, see spool_record.h
//                         cursor    how far the oldest segment was replayed
//
// What was appended survives the death of the agent, by kill -9 too; a machine that loses its power
// may lose the last seconds. A record whose delivery was not yet noted is delivered again. Beyond
// the limit the oldest segment goes, counted as spool_full. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/export/spool_record.h"
#include "agent/span/span_sink.h"

namespace remora {

struct SpoolOptions {
    std::string directory;    // made where it is missing, for its owner alone
    std::string destination;  // what the bodies are for: of others nothing is replayed
    size_t limit_bytes = size_t{256} << 20;
};

class Spool {
public:
    static Result<std::unique_ptr<Spool>> open(const SpoolOptions& options, CountLoss count_loss);
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;

    // The oldest make room. The error says what is wrong with the disk; the body is not kept.
    Status append(std::string_view body, size_t spans);

    struct Body {
        std::string bytes;
        size_t spans;
    };
    // The one that is next; the same again until done(). Damaged ones are skipped, counted as
    // spool_damaged. Nothing: it is empty. One thread replays.
    std::optional<Body> oldest();
    // What oldest() gave was delivered, or refused for good.
    void done();

    struct Pending {
        uint64_t spans = 0;
        uint64_t bytes = 0;
    };
    [[nodiscard]] Pending pending() const;
    [[nodiscard]] bool empty() const { return pending().bytes == 0; }
    [[nodiscard]] const std::string& folder() const { return folder_; }

private:
    struct Segment {
        uint64_t number = 0;
        UniqueFd fd;
        off_t begin = 0;     // what stands before was replayed
        off_t end = 0;       // of the last whole record
        uint64_t spans = 0;  // between the two
    };

    Spool(const SpoolOptions& options, CountLoss count_loss)
        : limit_(options.limit_bytes), count_loss_(std::move(count_loss)) {}
    Status take_folder(const SpoolOptions& options);
    Status load();
    Result<Segment> load_segment(const std::string& path, uint64_t number, off_t begin);
    void keep(Segment segment);
    void adopt(const std::string& folder);
    [[nodiscard]] std::string path_of(uint64_t number) const;
    Status begin_segment();
    Status write(std::string_view body, size_t spans);
    void make_room(size_t bytes);
    void drop_oldest();
    void remove_oldest();
    [[nodiscard]] uint64_t used_bytes() const;

    const size_t limit_;
    const CountLoss count_loss_;
    std::string folder_;
    UniqueFd lock_;
    UniqueFd cursor_;

    mutable std::mutex mutex_;  // guards all below
    std::deque<Segment> segments_;
    uint64_t next_number_ = 1;
    bool appending_ = false;  // the last segment is ours and open
    uint64_t reading_number_ = 0;
    std::optional<SpoolRecordPlace> reading_;  // in that segment
};

}  // namespace remora
