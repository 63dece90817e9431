// SPDX-License-Identifier: Apache-2.0
// Brings the configuration together: defaults < environment < flags. Every value keeps its origin,
// for `remora config`. Not thread-safe.
//
//   ConfigBuilder builder;
//   builder.environment([](const char* name) { return std::getenv(name); });
//   if (Status s = builder.flag("output", "spans.jsonl"); !s) usage_error(s.error());
//   LoadedConfig loaded = builder.build();
//   for (const std::string& warning : loaded.warnings) spdlog::warn(warning);
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/config.h"

namespace remora {

enum class Origin : uint8_t { built_in, environment, flag };

// One line of `remora config`.
struct ConfigEntry {
    std::string setting;  // "otlp.endpoint"
    std::string value;    // as given, or the default; secrets are masked
    Origin origin = Origin::built_in;
    std::string source;  // "OTEL_EXPORTER_OTLP_ENDPOINT", "a flag", "default"
};

struct LoadedConfig {
    Config config;
    std::vector<ConfigEntry> entries;   // all settings, in a fixed order
    std::vector<std::string> warnings;  // one line each, ready to be logged
};

struct Setting;

class ConfigBuilder {
public:
    using Environment = std::function<const char*(const char* variable)>;

    // An empty variable is an unset one. A value that can't be used gives a warning and leaves the
    // default; it never keeps the agent from starting.
    void environment(const Environment& lookup);

    // Sets by name (see setting_names()). Unlike a variable's, a flag's bad value is an error: the
    // user sits in front of it. Of a setting said twice the last value stands.
    Status flag(std::string_view setting, std::string_view value);

    [[nodiscard]] LoadedConfig build() const;

    [[nodiscard]] static std::vector<std::string> setting_names();
    // The table of docs/configuration.md: a line for each setting.
    [[nodiscard]] static std::vector<std::string> reference();

private:
    struct Given {
        std::string value;
        Origin origin;
        std::string source;
    };
    [[nodiscard]] bool by_flag(std::string_view setting) const;
    void warn(const std::string& variable, const std::string& what, const char* used,
              const Setting& setting);

    std::map<std::string, Given, std::less<>> given_;  // accepted values, by setting
    std::vector<std::string> warnings_;
    std::set<std::string> warned_;    // variables
    std::string refused_attributes_;  // of OTEL_RESOURCE_ATTRIBUTES
};

}  // namespace remora
