// SPDX-License-Identifier: Apache-2.0
#include "agent/main/print_config.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/base/printable.h"

namespace remora {

int print_config(const LoadedConfig& loaded) {
    size_t setting_width = 0;
    size_t value_width = 0;
    std::vector<std::string> values;
    for (const ConfigEntry& entry : loaded.entries) {
        values.push_back(printable(entry.value));
        setting_width = std::max(setting_width, entry.setting.size());
        value_width = std::max(value_width, std::min<size_t>(values.back().size(), 48));
    }
    for (size_t i = 0; i < values.size(); ++i)
        std::printf("%-*s  %-*s  %s\n", static_cast<int>(setting_width),
                    loaded.entries[i].setting.c_str(), static_cast<int>(value_width),
                    values[i].c_str(), loaded.entries[i].source.c_str());
    return 0;
}

int print_reference() {
    for (const std::string& line : ConfigBuilder::reference()) std::puts(line.c_str());
    return 0;
}

}  // namespace remora
