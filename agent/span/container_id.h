// SPDX-License-Identifier: Apache-2.0
// The id of the container that a process runs in, from what the kernel says about it: control
// groups (docker, containerd, CRI-O, podman, ECS; v1, and v2 outside a cgroup namespace), else the
// mounts that an engine makes for a container's /etc.
#pragma once

#include <string>
#include <string_view>

namespace remora {

// cgroup: /proc/<pid>/cgroup (cgroups(7)); mountinfo: /proc/<pid>/mountinfo (proc(5)). "": in none,
// or in one that can't be told from its pod.
std::string container_id(std::string_view cgroup, std::string_view mountinfo);

}  // namespace remora
