// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/elf_target.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "agent/base/unique_fd.h"
#include "agent/inspect/elf_file.h"

namespace remora {

namespace {

constexpr const char* probes_help = "tracing it needs the eBPF probes, which this version lacks";
constexpr int scripts_max = 5;  // interpreters that are scripts themselves: the kernel's limit, too

Target refuse(TargetKind kind, const std::string& path, const std::string& program,
              std::string why) {
    return {kind, path, program, std::move(why)};
}

bool is_regular_file(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

// What execvp would run: like it, a file that is there but not executable is remembered and the
// search goes on.
Target locate(const std::string& command) {
    const auto try_path = [](const std::string& path) -> std::optional<Target> {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) {
            if (errno == EACCES)
                return refuse(TargetKind::not_executable, path, path, path + ": permission denied");
            return std::nullopt;
        }
        if (S_ISDIR(status.st_mode))
            return refuse(TargetKind::not_executable, path, path, path + " is a directory");
        if (!S_ISREG(status.st_mode) || ::eaccess(path.c_str(), X_OK) != 0)
            return refuse(TargetKind::not_executable, path, path,
                          path + " is not executable (chmod +x, or name its interpreter)");
        return Target{TargetKind::traceable, path, path, {}};
    };
    const Target missing =
        refuse(TargetKind::missing, command, command,
               command.find('/') == std::string::npos ? command + ": command not found in PATH"
                                                      : command + ": no such file");
    if (command.empty()) return missing;
    if (command.find('/') != std::string::npos) return try_path(command).value_or(missing);

    const char* set = std::getenv("PATH");
    std::string_view list = set != nullptr ? set : "/bin:/usr/bin";
    std::optional<Target> refused;
    for (;;) {
        const std::string_view folder = list.substr(0, list.find(':'));
        // An empty entry is the current folder.
        auto found =
            try_path(folder.empty() ? "./" + command : std::string(folder) + '/' + command);
        if (found && found->kind == TargetKind::traceable) return *found;
        if (found && !refused && is_regular_file(found->path)) refused = found;
        if (folder.size() == list.size()) break;
        list.remove_prefix(folder.size() + 1);
    }
    return refused.value_or(missing);
}

// The interpreter that a "#!" line names; empty: not a script.
std::string script_interpreter(const std::string& path) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    char start[PATH_MAX];
    const ssize_t count = fd ? ::read(fd.get(), start, sizeof(start)) : 0;
    if (count < 2 || start[0] != '#' || start[1] != '!') return {};
    std::string_view line{start + 2, static_cast<size_t>(count) - 2};
    line = line.substr(0, line.find('\n'));
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    line.remove_prefix(begin);
    return std::string(line.substr(0, line.find_first_of(" \t\r")));
}

// Why the dynamic linker would run in secure mode (AT_SECURE) and drop LD_PRELOAD; empty: it won't.
std::string privilege_of(const std::string& path) {
    struct stat status {};
    struct statvfs file_system {};
    if (::stat(path.c_str(), &status) != 0) return {};
    const bool ignored =
        ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
        (::statvfs(path.c_str(), &file_system) == 0 && (file_system.f_flag & ST_NOSUID) != 0);
    if (ignored) return {};
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid()) return "setuid";
    // Without group execution the bit means mandatory locking.
    if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 &&
        status.st_gid != ::getgid())
        return "setgid";
    // For root they add nothing, so nothing is secured (capabilities(7)).
    if (::getuid() != 0 && ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0)
        return "given file capabilities";
    return {};
}

std::string_view base_name(std::string_view path) {
    return path.substr(path.find_last_of('/') + 1);  // npos + 1 is 0
}

Target classify(const std::string& path, const std::string& program) {
    const auto refused = [&](TargetKind kind, const std::string& why) {
        return refuse(kind, path, program, program + " " + why);
    };
    if (const std::string privilege = privilege_of(program); !privilege.empty())
        return refused(TargetKind::privileged,
                       "is " + privilege +
                           ", so the system ignores preloaded libraries for it; "
                           "run remora as the user that it becomes");
    const auto elf = read_elf_file(program);
    if (!elf) return {TargetKind::traceable, path, program, {}};  // unreadable, or for binfmt_misc
    const ElfVerdict verdict = judge_elf(*elf, program);
    if (verdict.kind != TargetKind::traceable) return refused(verdict.kind, verdict.why);
    return {TargetKind::traceable, path, program, {}};
}

}  // namespace

std::string architecture_name(const ElfFile& elf) {
    if (elf.machine == EM_386) return "32-bit x86";
    if (elf.machine == EM_X86_64) return "x32";
    if (elf.machine == EM_AARCH64) return "64-bit ARM";
    if (elf.machine == EM_ARM) return "32-bit ARM";
    return fmt::format("ELF machine {}", elf.machine);
}

ElfVerdict judge_elf(const ElfFile& elf, std::string_view path) {
    if (!elf.x86_64)
        return {TargetKind::other_architecture, "is a program for " + architecture_name(elf) +
                                                    "; only 64-bit x86 programs can be traced"};
    if (elf.go)
        return {TargetKind::go,
                std::string("is a Go program, which makes its system calls without libc; ") +
                    probes_help};
    if (elf.interpreter.empty()) {
        // Called as a command the dynamic linker itself reads LD_PRELOAD.
        if (base_name(path).substr(0, 3) == "ld-") return {};
        return {TargetKind::statically_linked,
                std::string("is statically linked, so no library can be preloaded; ") +
                    "link it dynamically, or: " + probes_help};
    }
    if (base_name(elf.interpreter).substr(0, 8) != "ld-linux")
        return {TargetKind::other_libc,
                fmt::format("uses the dynamic linker {}; only programs of the GNU C library "
                            "can be traced",
                            elf.interpreter)};
    const bool has_libc =
        std::find(elf.needed.begin(), elf.needed.end(), "libc.so.6") != elf.needed.end();
    if (elf.dynamic && !has_libc)
        return {TargetKind::no_libc, std::string("does not use the C library; ") + probes_help};
    return {};
}

Target find_target(const std::string& command) {
    Target target = locate(command);
    if (target.kind != TargetKind::traceable) return target;
    std::string program = target.path;
    for (int depth = 0; depth < scripts_max; ++depth) {
        const std::string interpreter = script_interpreter(program);
        if (interpreter.empty()) break;
        if (!is_regular_file(interpreter))
            return refuse(TargetKind::missing, target.path, interpreter,
                          fmt::format("{}: its interpreter {} is missing", program, interpreter));
        program = interpreter;
    }
    return classify(target.path, program);
}

}  // namespace remora
