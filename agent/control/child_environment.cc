// SPDX-License-Identifier: Apache-2.0
#include "agent/control/child_environment.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "bpf/abi/control.h"

namespace remora {

namespace {

constexpr std::string_view library_name = "libremora.so";

bool readable(const std::filesystem::path& path) { return ::access(path.c_str(), R_OK) == 0; }

// LD_PRELOAD knows no escapes: a path with a blank or a colon can't be named in it.
Status check_preloadable(const std::string& path) {
    if (path.find_first_of(" \t\n:") != std::string::npos)
        return Error{
            "the library's path contains a blank or a colon, which LD_PRELOAD can't name: " + path +
            "; move it, or point REMORA_LIBRARY at a copy"};
    return Done{};
}

Result<std::string> usable(const std::filesystem::path& path) {
    std::error_code error;
    const auto real = std::filesystem::weakly_canonical(path, error);
    const std::string text = error ? path.string() : real.string();
    if (auto good = check_preloadable(text); !good) return good.error();
    return text;
}

}  // namespace

Result<std::string> find_library() {
    const char* given = std::getenv("REMORA_LIBRARY");
    if (given != nullptr && *given != '\0') {
        if (!readable(given))
            return Error{std::string("REMORA_LIBRARY names a file that can't be read: ") + given};
        return usable(std::filesystem::absolute(given));
    }
    std::error_code error;
    const auto executable = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return Error{"cannot tell where remora is (is /proc mounted?); set REMORA_LIBRARY"};
    const std::filesystem::path folder = executable.parent_path();
    std::string tried;
    for (const char* place :
         {".", "../lib", "../lib/remora", "../lib/x86_64-linux-gnu", "../lib64"}) {
        const auto path = (folder / place).lexically_normal() / library_name;
        if (readable(path)) return usable(path);
        tried += (tried.empty() ? "" : ", ") + path.parent_path().string();
    }
    return Error{"libremora.so is missing: looked in " + tried +
                 "; install it there or name it in REMORA_LIBRARY"};
}

ChildEnvironment::ChildEnvironment(const char* const* environment) {
    for (; *environment != nullptr; ++environment) variables_.emplace_back(*environment);
}

std::string* ChildEnvironment::find(const std::string& name) {
    for (std::string& variable : variables_)
        if (variable.size() > name.size() && variable[name.size()] == '=' &&
            variable.compare(0, name.size(), name) == 0)
            return &variable;
    return nullptr;
}

void ChildEnvironment::set(const std::string& name, const std::string& value) {
    std::string variable = name + '=' + value;
    if (std::string* existing = find(name))
        *existing = std::move(variable);
    else
        variables_.push_back(std::move(variable));
}

void ChildEnvironment::join_session(const std::string& session) {
    if (find("TRACEPARENT") != nullptr) return set(REMORA_SESSION_VARIABLE, session);
    set(REMORA_SESSION_VARIABLE, session + ":t");
    set("TRACEPARENT", "00-00000000000000000000000000000000-0000000000000000-00");
}

void ChildEnvironment::preload(const std::string& library) {
    const std::string* existing = find("LD_PRELOAD");
    if (existing == nullptr) return set("LD_PRELOAD", library);
    std::string list = existing->substr(std::string_view("LD_PRELOAD=").size());
    for (size_t begin = 0; begin <= list.size();) {
        const size_t end = std::min(list.find_first_of(": \t", begin), list.size());
        if (list.compare(begin, end - begin, library) == 0) return;
        begin = end + 1;
    }
    set("LD_PRELOAD", list.empty() ? library : list + ':' + library);
}

std::vector<char*> ChildEnvironment::pointers() {
    std::vector<char*> result;
    result.reserve(variables_.size() + 1);
    for (std::string& variable : variables_) result.push_back(variable.data());
    result.push_back(nullptr);
    return result;
}

}  // namespace remora
