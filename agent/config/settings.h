// SPDX-License-Identifier: Apache-2.0
// The table of all settings: name, variables, default, and how a text becomes a value. To add one:
// a field in Config and a row here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/config.h"

namespace remora {

// A Config under construction: settings that need each other are brought together at the end.
struct ConfigDraft {
    Config config;
    std::string otlp_endpoint;         // base URL
    std::string otlp_traces_endpoint;  // whole URL
    bool endpoint_forced = false;      // a flag named a collector
    bool exporters_given = false;
    bool exporters_forced = false;
    bool view_given = false;
    bool batch_size_given = false;
    double sampler_ratio = 1.0;
    std::vector<std::string> notes;  // accepted, but not quite as asked: warnings
};

struct Setting {
    const char* name;
    std::vector<const char*> variables;  // the first one that is set and good is taken
    const char* default_text;            // for people
    // "must be a whole number" when it isn't; the caller adds which setting and what stands.
    Status (*apply)(std::string_view value, ConfigDraft& draft);
    bool secret = false;
};

const std::vector<Setting>& settings();

// After all rows: endpoint, exporters, view and sampler from their parts.
void resolve(ConfigDraft& draft);

}  // namespace remora
