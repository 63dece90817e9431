// SPDX-License-Identifier: Apache-2.0
// What a resource says of the machine: host.*, os.*, and the container that we run in ourselves.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/protocol/description.h"

namespace remora {

// host.name, host.id, host.arch, os.type, os.description, os.version; what is unknown is left out.
// Reads files of /etc and asks the kernel; never fails.
std::vector<Attribute> host_attributes();

// "Debian GNU/Linux 12 (bookworm)" of os-release(5); "": it has none.
std::string pretty_name(std::string_view os_release);

// Of this process; "": none.
std::string own_container_id();

}  // namespace remora
