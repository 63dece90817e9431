// SPDX-License-Identifier: Apache-2.0
#include "preload/exec_target.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "preload/child_environment.h"

namespace remora::shim {
namespace {

namespace fs = std::filesystem;

struct Elf {
    uint8_t file_class = ELFCLASS64;
    uint16_t machine = EM_X86_64;
    std::string loader = "/lib64/ld-linux-x86-64.so.2";  // "": static
};

class ExecTargetTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = "/tmp/remora-exec-target-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        library_ = write("libremora.so", "library");
        SessionAddress address;
        init_child_environment(address, library_.c_str());
    }
    void TearDown() override {
        fs::permissions(folder_, fs::perms::owner_all);
        fs::remove_all(folder_);
    }
    std::string write(const std::string& name, const std::string& content) {
        const std::string path = folder_ / name;
        std::ofstream(path, std::ios::binary) << content;
        fs::permissions(path, fs::perms(0755));
        return path;
    }
    std::string write(const std::string& name, const Elf& wanted) {
        Elf64_Ehdr elf{};
        memcpy(elf.e_ident, ELFMAG, SELFMAG);
        elf.e_ident[EI_CLASS] = wanted.file_class;
        elf.e_ident[EI_DATA] = ELFDATA2LSB;
        elf.e_machine = wanted.machine;
        elf.e_phoff = sizeof(elf);
        elf.e_phentsize = sizeof(Elf64_Phdr);
        elf.e_phnum = 2;
        Elf64_Phdr headers[2] = {};
        headers[0].p_type = PT_LOAD;
        headers[1].p_type = wanted.loader.empty() ? uint32_t{PT_NOTE} : uint32_t{PT_INTERP};
        headers[1].p_offset = sizeof(elf) + sizeof(headers);
        headers[1].p_filesz = wanted.loader.size() + 1;
        return write(name, std::string(reinterpret_cast<char*>(&elf), sizeof(elf)) +
                               std::string(reinterpret_cast<char*>(headers), sizeof(headers)) +
                               wanted.loader + '\0');
    }
    bool loads(const std::string& path) {
        errno = 4242;
        const bool result = target_loads_us(AT_FDCWD, path.c_str());
        EXPECT_EQ(errno, 4242);
        return result;
    }

    fs::path folder_;
    std::string library_;
};

TEST_F(ExecTargetTest, OrdinaryPrograms) {
    EXPECT_TRUE(loads(write("program", Elf{})));
    EXPECT_TRUE(loads(write("static", Elf{.loader = ""})));
    EXPECT_TRUE(loads(write("elsewhere", Elf{.loader = "/nix/store/x/ld-linux-x86-64.so.2"})));
    EXPECT_TRUE(loads("/bin/true"));
}

TEST_F(ExecTargetTest, OtherLoaders) {
    EXPECT_FALSE(loads(write("32bit", Elf{.file_class = ELFCLASS32})));
    EXPECT_FALSE(loads(write("arm", Elf{.machine = EM_AARCH64})));
    EXPECT_FALSE(loads(write("musl", Elf{.loader = "/lib/ld-musl-x86_64.so.1"})));
    EXPECT_FALSE(loads(write("odd", Elf{.loader = std::string(2000, 'x')})));
}

TEST_F(ExecTargetTest, Scripts) {
    const std::string musl = write("musl", Elf{.loader = "/lib/ld-musl-x86_64.so.1"});
    const std::string good = write("good", Elf{});
    EXPECT_TRUE(loads(write("one", "#!" + good + "\n")));
    EXPECT_TRUE(loads(write("two", "#! \t" + good + " -x\nrest\n")));
    EXPECT_FALSE(loads(write("three", "#!" + musl + " -x\n")));
    EXPECT_FALSE(loads(write("four", "#!" + std::string(folder_ / "three") + "\n")));
    EXPECT_FALSE(loads(write("five", "#!" + musl)));
    EXPECT_TRUE(loads(write("six", "#!\n")));
    EXPECT_TRUE(loads(write("seven", "echo no interpreter\n")));
    EXPECT_TRUE(loads(write("loop", "#!" + std::string(folder_ / "loop") + "\n")));
}

TEST_F(ExecTargetTest, WhatCanNotBeReadIsOrdinary) {
    EXPECT_TRUE(loads(folder_ / "missing"));
    EXPECT_TRUE(loads(folder_));
    EXPECT_TRUE(loads(""));
    EXPECT_TRUE(loads(write("empty", "")));
    EXPECT_TRUE(loads(write("short", "\177ELF")));
    EXPECT_TRUE(target_loads_us(AT_FDCWD, nullptr));
    EXPECT_TRUE(loads(std::string(10000, 'x')));
}

TEST_F(ExecTargetTest, EveryTruncationOfAProgram) {
    std::ifstream file("/bin/true", std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(file)), {});
    for (size_t size = 0; size < 1200; size += 7) loads(write("cut", content.substr(0, size)));
}

TEST_F(ExecTargetTest, ByDescriptor) {
    const std::string musl = write("musl", Elf{.loader = "/lib/ld-musl-x86_64.so.1"});
    const UniqueFd plain(::open(musl.c_str(), O_RDONLY)), path(::open(musl.c_str(), O_PATH)),
        directory(::open(folder_.c_str(), O_PATH));
    EXPECT_FALSE(target_loads_us(plain.get(), ""));
    EXPECT_FALSE(target_loads_us(path.get(), ""));
    EXPECT_FALSE(target_loads_us(directory.get(), "musl"));
    EXPECT_TRUE(target_loads_us(-1, ""));
    EXPECT_EQ(::lseek(plain.get(), 0, SEEK_CUR), 0) << "the program's offset moved";
}

TEST_F(ExecTargetTest, OutOfReach) {
    const std::string good = write("good", Elf{});
    EXPECT_TRUE(loads(good));
    fs::remove(library_);
    EXPECT_FALSE(loads(good));
}

TEST_F(ExecTargetTest, ByName) {
    fs::create_directory(folder_ / "first");
    fs::create_directory(folder_ / "second");
    write("first/tool", Elf{.loader = "/lib/ld-musl-x86_64.so.1"});
    write("second/tool", Elf{});
    write("second/other", Elf{});
    const std::string before = std::getenv("PATH");
    ::setenv("PATH",
             (std::string(folder_ / "first") + ":" + std::string(folder_ / "second")).c_str(), 1);
    EXPECT_FALSE(named_target_loads_us("tool"));
    EXPECT_TRUE(named_target_loads_us("other"));
    EXPECT_TRUE(named_target_loads_us("nowhere"));
    fs::permissions(folder_ / "first/tool", fs::perms(0644));
    EXPECT_TRUE(named_target_loads_us("tool")) << "execvp goes on to the next";
    EXPECT_FALSE(named_target_loads_us((folder_ / "first/tool").c_str()));
    for (const char* path : {"", ":", "::::", "/nonexistent:"}) {
        ::setenv("PATH", path, 1);
        EXPECT_TRUE(named_target_loads_us("nowhere")) << path;
    }
    ::setenv("PATH", (std::string(9000, 'p') + ":" + std::string(folder_ / "second")).c_str(), 1);
    EXPECT_TRUE(named_target_loads_us("tool"));
    ::setenv("PATH", before.c_str(), 1);
}

}  // namespace
}  // namespace remora::shim
