// SPDX-License-Identifier: Apache-2.0
#include "agent/main/print_config.h"

#include <algorithm>
#include <cstdio>

namespace remora {

int print_config(const LoadedConfig& loaded) {
    size_t setting_width = 0;
    size_t value_width = 0;
    for (const ConfigEntry& entry : loaded.entries) {
        setting_width = std::max(setting_width, entry.setting.size());
        value_width = std::max(value_width, std::min<size_t>(entry.value.size(), 48));
    }
    for (const ConfigEntry& entry : loaded.entries)
        std::printf("%-*s  %-*s  %s\n", static_cast<int>(setting_width), entry.setting.c_str(),
                    static_cast<int>(value_width), entry.value.c_str(), entry.source.c_str());
    return 0;
}

}  // namespace remora
