// SPDX-License-Identifier: Apache-2.0
// Starts a harmless program (true) with the library preloaded and looks whether it found its agent,
// as `remora run` would. Main thread, no other threads.
#pragma once

#include <string>

namespace remora {

struct PreloadTrial {
    std::string shared_memory_problem;  // empty: none
    std::string preload_problem;
    std::string other_users_problem;
};

PreloadTrial try_preload(const std::string& library);

}  // namespace remora
