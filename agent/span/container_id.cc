// SPDX-License-Identifier: Apache-2.0
#include "agent/span/container_id.h"

#include "agent/base/text.h"

namespace remora {
namespace {

constexpr size_t id_digits = 64;
constexpr size_t task_digits = 32;  // ECS: <task id>-<number>

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The last run of exactly 64 hexadecimal digits: of containers inside containers the inner one.
std::string_view last_id(std::string_view text) {
    std::string_view found;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && is_hex(text[end])) ++end;
        const bool bounded =
            (at == 0 || !is_letter(text[at - 1])) && (end == text.size() || !is_letter(text[end]));
        if (end - at == id_digits && bounded) found = text.substr(at, id_digits);
        at = end + 1;
    }
    return found;
}

// "/ecs/<cluster>/<task>/<task>-<number>": the last part.
std::string_view task_container(std::string_view path) {
    const std::string_view last = path.substr(path.rfind('/') + 1);
    if (path.compare(0, 5, "/ecs/") != 0 || last.size() <= task_digits + 1) return {};
    for (size_t i = 0; i < last.size(); ++i) {
        const bool good = i < task_digits    ? is_hex(last[i])
                          : i == task_digits ? last[i] == '-'
                                             : is_digit(last[i]);
        if (!good) return {};
    }
    return last;
}

// "4:memory:/docker/<id>"
std::string_view id_of_group(std::string_view line) {
    const size_t controllers = line.find(':');
    const size_t colon = line.find(':', controllers + 1);
    if (controllers == std::string_view::npos || colon == std::string_view::npos) return {};
    const std::string_view path = line.substr(colon + 1);
    const std::string_view id = last_id(path);
    return id.empty() ? task_container(path) : id;
}

// "36 35 98:0 /root /mount-point options ...": the engine's file behind the container's. Files of a
// pod belong to its sandbox, which is not the container.
std::string_view id_of_mount(std::string_view line) {
    const auto fields = split_list(line, ' ');
    if (fields.size() < 5) return {};
    const std::string_view root = fields[3], point = fields[4];
    if (point != "/etc/hostname" && point != "/etc/hosts" && point != "/etc/resolv.conf") return {};
    if (root.find("containers/") == std::string_view::npos) return {};
    return last_id(root);
}

}  // namespace

std::string container_id(std::string_view cgroup, std::string_view mountinfo) {
    for (const std::string_view line : split_list(cgroup, '\n'))
        if (const std::string_view id = id_of_group(line); !id.empty()) return std::string(id);
    if (mountinfo.find("/kubelet/pods/") != std::string_view::npos) return {};
    for (const std::string_view line : split_list(mountinfo, '\n'))
        if (const std::string_view id = id_of_mount(line); !id.empty()) return std::string(id);
    return {};
}

}  // namespace remora
