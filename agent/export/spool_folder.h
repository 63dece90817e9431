// SPDX-License-Identifier: Apache-2.0
// The folders and small files of a spool; see spool.h for how they lie.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace remora {

// The folder of destination number n in a spool directory.
std::string spool_folder_path(const std::string& directory, const std::string& destination, int n);
constexpr int spool_folders = 64;  // agents that share one directory for one destination

// Mode 0700; one that is there is taken. Missing parents are an error.
Status make_spool_folder(const std::string& path);
// A lock file that no other process holds. Error EWOULDBLOCK: one does.
Result<UniqueFd> lock_spool_folder(const std::string& folder);

struct SegmentFile {
    uint64_t number;
    std::string path;
};
std::string segment_path(const std::string& folder, uint64_t number);
std::vector<SegmentFile> list_segments(const std::string& folder);  // by number

// How far the replay has come. A cursor that can't be read is at the beginning.
struct SpoolCursor {
    uint64_t segment = 0;
    int64_t offset = 0;
};
Result<UniqueFd> open_spool_cursor(const std::string& folder);
SpoolCursor read_spool_cursor(int fd);
void write_spool_cursor(int fd, const SpoolCursor& cursor);

}  // namespace remora
