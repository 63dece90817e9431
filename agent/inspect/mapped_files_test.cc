// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/mapped_files.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/unique_fd.h"
#include "bpf/abi/control.h"

namespace remora {
namespace {

using testing::ElementsAre;

TEST(MappedFiles, AreTakenFromTheList) {
    const MappedFiles files = parse_maps(
        "55d0-55d1 r--p 00000000 08:01 131    /usr/bin/cat\n"
        "55d1-55d2 r-xp 00001000 08:01 131    /usr/bin/cat\n"
        "7f00-7f01 rw-p 00000000 00:00 0 \n"
        "7f02-7f03 rw-s 00000000 00:01 4711   /memfd:remora-lanes (deleted)\n"
        "7f03-7f04 rw-s 00020000 00:01 4711   /memfd:remora-lanes (deleted)\n"
        "7f04-7f05 r--s 00000000 00:01 4712   /memfd:remora-control (deleted)\n"
        "7f06-7f07 r-xp 00000000 08:01 9      /opt/my lib/libssl.so.3 (deleted)\n"
        "7ffd-7ffe rw-p 00000000 00:00 0      [stack]\n");
    EXPECT_THAT(files.paths, ElementsAre("/usr/bin/cat", "/opt/my lib/libssl.so.3 (deleted)"));
    EXPECT_THAT(files.lanes, ElementsAre(4711u));
    EXPECT_THAT(files.control_pages, ElementsAre(4712u));
    EXPECT_TRUE(files.attached());
    EXPECT_EQ(files.find("libssl"), "/opt/my lib/libssl.so.3 (deleted)");
    EXPECT_EQ(files.find("ssl"), "");
}

TEST(MappedFiles, OfOtherNamesAreNotOurMemory) {
    const MappedFiles files = parse_maps(
        "7f02-7f03 rw-s 00000000 00:01 4711   /memfd:remora-lanes2 (deleted)\n"
        "7f02-7f03 rw-s 00000000 00:01 4711   /tmp/memfd:remora-lanes (deleted)\n"
        "7f02-7f03 rw-s 00000000 00:01 4711   /memfd:remora-lanes");
    EXPECT_FALSE(files.attached());
    EXPECT_EQ(files.paths.size(), 3u);
}

TEST(MappedFiles, SurviveWhatIsNoList) {
    for (const char* text : {"", "\n", "\n\n", " ", "a b c d e", "a b c d 99999999999999999999 /x",
                             "a b c d e /x\n/y\n", "    \n/"})
        (void)parse_maps(text);
    EXPECT_TRUE(parse_maps("a b c d").paths.empty());
}

TEST(MappedFiles, OfThisProcess) {
    const UniqueFd fd{::memfd_create(REMORA_LANES_MEMFD, 0)};
    ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
    void* memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    struct stat status {};
    ASSERT_EQ(::fstat(fd.get(), &status), 0);
    MappedFiles files;
    ASSERT_EQ(read_mapped_files(::getpid(), files), Access::allowed);
    EXPECT_THAT(files.lanes, ElementsAre(status.st_ino));
    EXPECT_NE(files.find("libc.so"), "");
    ::munmap(memory, 4096);
    EXPECT_EQ(read_mapped_files(1 << 23, files), Access::gone);
}

TEST(FileName, IsWithoutFoldersAndMarks) {
    EXPECT_EQ(file_name("/usr/lib/libssl.so.3"), "libssl.so.3");
    EXPECT_EQ(file_name("/a/b (deleted)"), "b");
    EXPECT_EQ(file_name("plain"), "plain");
    EXPECT_EQ(file_name(""), "");
}

}  // namespace
}  // namespace remora
