// SPDX-License-Identifier: Apache-2.0
#include "agent/export/spool_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>

namespace remora {
namespace {

constexpr std::string_view suffix = ".segment";

// FNV-1a: the same in every life of the agent, unlike std::hash.
uint64_t stable_hash(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return hash;
}

struct StoredCursor {
    SpoolCursor cursor;
    uint64_t checksum;
};

uint64_t checksum_of(const SpoolCursor& cursor) {
    return ::crc32_z(0, reinterpret_cast<const unsigned char*>(&cursor), sizeof(cursor));
}

}  // namespace

std::string spool_folder_path(const std::string& directory, const std::string& destination, int n) {
    return fmt::format("{}/{:016x}-{}", directory, stable_hash(destination), n);
}

Status make_spool_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) return Done{};
    const int number = errno;
    struct stat found {};
    if (number == EEXIST && ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode))
        return Done{};
    return Error{"cannot make the spool folder " + path, number};
}

Result<UniqueFd> lock_spool_folder(const std::string& folder) {
    const std::string path = folder + "/lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Error{"cannot open " + path, errno};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return Error{"cannot lock " + path, errno};
    return fd;
}

std::string segment_path(const std::string& folder, uint64_t number) {
    return fmt::format("{}/{:016x}{}", folder, number, suffix);
}

std::vector<SegmentFile> list_segments(const std::string& folder) {
    std::vector<SegmentFile> files;
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
    if (!open) return files;
    while (const dirent* entry = ::readdir(open.get())) {
        const std::string_view name = entry->d_name;
        uint64_t number = 0;
        const auto [stop, problem] =
            std::from_chars(name.data(), name.data() + name.size(), number, 16);
        if (problem == std::errc() &&
            name.substr(static_cast<size_t>(stop - name.data())) == suffix)
            files.push_back({number, folder + "/" + std::string(name)});
    }
    std::sort(files.begin(), files.end(),
              [](const SegmentFile& a, const SegmentFile& b) { return a.number < b.number; });
    return files;
}

Result<UniqueFd> open_spool_cursor(const std::string& folder) {
    const std::string path = folder + "/cursor";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return Error{"cannot open " + path, errno};
    return fd;
}

SpoolCursor read_spool_cursor(int fd) {
    StoredCursor stored{};
    if (::pread(fd, &stored, sizeof(stored), 0) != static_cast<ssize_t>(sizeof(stored)) ||
        stored.checksum != checksum_of(stored.cursor) || stored.cursor.offset < 0)
        return {};
    return stored.cursor;
}

void write_spool_cursor(int fd, const SpoolCursor& cursor) {
    const StoredCursor stored{cursor, checksum_of(cursor)};
    // Where it can't be written what was sent is sent again after a restart: nothing is lost.
    [[maybe_unused]] const ssize_t count = ::pwrite(fd, &stored, sizeof(stored), 0);
}

}  // namespace remora
