// SPDX-License-Identifier: Apache-2.0
#include "agent/span/host_attributes.h"

#include <sys/utsname.h>

#include "agent/base/text.h"
#include "agent/base/utf8.h"
#include "agent/ingest/proc_files.h"
#include "agent/span/container_id.h"

namespace remora {
namespace {

constexpr size_t small_file = 16384;
constexpr size_t mountinfo_limit = size_t{1} << 20;

void set_text(std::vector<Attribute>& attributes, const char* key, std::string value) {
    if (!value.empty()) attributes.push_back({key, sanitize_utf8(value)});
}

std::string first_line(const std::string& text) {
    return std::string(trim_text(std::string_view(text).substr(0, text.find('\n'))));
}

}  // namespace

std::string pretty_name(std::string_view os_release) {
    constexpr std::string_view name = "PRETTY_NAME=";
    for (const std::string_view line : split_list(os_release, '\n')) {
        if (line.substr(0, name.size()) != name) continue;
        std::string_view value = line.substr(name.size());
        if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
            value.back() == value.front())
            value = value.substr(1, value.size() - 2);
        return std::string(value);
    }
    return {};
}

std::vector<Attribute> host_attributes() {
    std::vector<Attribute> attributes;
    utsname system{};
    const bool known = ::uname(&system) == 0;
    if (known) set_text(attributes, "host.name", system.nodename);
    set_text(attributes, "host.id", first_line(read_proc_file("/etc/machine-id", small_file)));
    attributes.push_back({"host.arch", "amd64"});
    attributes.push_back({"os.type", "linux"});
    std::string release = read_proc_file("/etc/os-release", small_file);
    if (release.empty()) release = read_proc_file("/usr/lib/os-release", small_file);
    set_text(attributes, "os.description", pretty_name(release));
    if (known) set_text(attributes, "os.version", system.release);
    return attributes;
}

std::string own_container_id() {
    return container_id(read_proc_file("/proc/self/cgroup", small_file),
                        read_proc_file("/proc/self/mountinfo", mountinfo_limit));
}

}  // namespace remora
