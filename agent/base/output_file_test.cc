// SPDX-License-Identifier: Apache-2.0
#include "agent/base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;

class OutputFileTest : public testing::Test {
protected:
    OutputFileTest() { std::filesystem::create_directories(folder_); }
    ~OutputFileTest() override { std::filesystem::remove_all(folder_); }

    std::string path(const char* name) const { return folder_ / name; }
    std::string content(const char* name) const {
        std::ostringstream text;
        text << std::ifstream(path(name)).rdbuf();
        return text.str();
    }

    const std::filesystem::path folder_ = std::filesystem::path(::testing::TempDir()) /
                                          ("remora-output-" + std::to_string(::getpid()));
    OutputWriter writer_;
};

TEST_F(OutputFileTest, AFileIsEmptiedAndWritten) {
    std::ofstream(path("file")) << "what was there before";
    auto fd = open_output_file(path("file"), "the output file");
    ASSERT_TRUE(fd);
    std::string_view text = "new";
    EXPECT_TRUE(writer_.write(fd->get(), text));
    EXPECT_TRUE(text.empty());
    EXPECT_EQ("new", content("file"));
    EXPECT_NE(0, ::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(OutputFileTest, AnErrorNamesTheFile) {
    const auto fd = open_output_file(path("no/file"), "the output file");
    ASSERT_FALSE(fd);
    EXPECT_EQ("cannot open the output file " + path("no/file") + ": No such file or directory",
              fd.error().text());
}

TEST_F(OutputFileTest, AFifoWithoutAReaderIsAnErrorAtOnce) {
    ASSERT_EQ(0, ::mkfifo(path("fifo").c_str(), 0600));
    const auto fd = open_output_file(path("fifo"), "the output file");
    ASSERT_FALSE(fd);
    EXPECT_NE(std::string::npos, fd.error().text().find("start its reader first"));
}

TEST_F(OutputFileTest, AReaderThatStopsIsNotWaitedForBeyondTheDeadline) {
    ASSERT_EQ(0, ::mkfifo(path("fifo").c_str(), 0600));
    const UniqueFd reader{::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK)};
    auto fd = open_output_file(path("fifo"), "the output file");
    ASSERT_TRUE(fd);
    const std::string much(1 << 20, 'x');
    std::string_view rest = much;
    const auto status = writer_.write(fd->get(), rest, Clock::now());
    ASSERT_FALSE(status);
    EXPECT_EQ(ETIMEDOUT, status.error().number);
    EXPECT_LT(rest.size(), much.size());
    EXPECT_FALSE(rest.empty());
}

TEST_F(OutputFileTest, ALimitEndsARunningWrite) {
    ASSERT_EQ(0, ::mkfifo(path("fifo").c_str(), 0600));
    const UniqueFd reader{::open(path("fifo").c_str(), O_RDONLY | O_NONBLOCK)};
    auto fd = open_output_file(path("fifo"), "the output file");
    ASSERT_TRUE(fd);
    const std::string much(1 << 20, 'x');
    std::thread blocked([&] {
        std::string_view rest = much;
        EXPECT_FALSE(writer_.write(fd->get(), rest));
    });
    char byte;
    while (::read(reader.get(), &byte, 1) != 1) std::this_thread::yield();  // it writes
    writer_.limit(Clock::now());
    blocked.join();
}

TEST_F(OutputFileTest, WhatStandardErrorGoesToIsSharedWithIt) {
    const UniqueFd kept{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
    {
        const UniqueFd log{::open(path("log").c_str(), O_WRONLY | O_CREAT, 0600)};
        ::dup2(log.get(), STDERR_FILENO);
    }
    EXPECT_EQ(7, ::write(STDERR_FILENO, "before\n", 7));
    auto fd = open_output_file(path("log"), "the output file");
    std::string_view text = "ours\n";
    const bool written = fd && writer_.write(fd->get(), text);
    EXPECT_EQ(6, ::write(STDERR_FILENO, "after\n", 6));
    ::dup2(kept.get(), STDERR_FILENO);
    EXPECT_TRUE(written);
    EXPECT_EQ("before\nours\nafter\n", content("log"));
}

}  // namespace
}  // namespace remora
