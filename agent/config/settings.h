// SPDX-License-Identifier: Apache-2.0
// The table of all settings: name, variables, default, meaning, and how a text becomes a value. To
// add one: a field in Config, a row here, and its line in docs/configuration.md, which
// `remora config --reference` prints.
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
    bool otlp_insecure = false;        // an endpoint without a scheme has no TLS
    bool endpoint_forced = false;      // a flag named a collector
    bool exporters_given = false;
    bool exporters_forced = false;
    bool view_given = false;
    bool batch_size_given = false;
    double sampler_ratio = 1.0;
    // Accepted, but not quite as asked: a warning. It goes on after the variable and its value:
    // "is not supported; using ...".
    std::vector<std::string> notes;
    std::vector<std::string> warnings;  // the same as whole lines
};

// How much of a value may be shown.
enum class Shown : uint8_t {
    all,
    url,    // without its password and the values of its query
    names,  // of "name=value,..." the names
};

struct Setting {
    const char* name;
    std::vector<const char*> variables;  // the first one that is set and good is taken
    const char* default_text;  // for people; in parentheses where it is no value: "(no limit)"
    const char* meaning;       // one line of docs/configuration.md
    // "must be a whole number" when it isn't; the caller adds which setting and what stands.
    Status (*apply)(std::string_view value, ConfigDraft& draft);
    Shown shown = Shown::all;
};

const std::vector<Setting>& settings();

// After all rows: endpoint, exporters, view and sampler from their parts.
void resolve(ConfigDraft& draft);

}  // namespace remora
