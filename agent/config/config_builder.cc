// SPDX-License-Identifier: Apache-2.0
#include "agent/config/config_builder.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/config/parse_value.h"
#include "agent/config/settings.h"

namespace remora {
namespace {

// Tries a value without keeping anything of it.
Status check(const Setting& setting, std::string_view value) {
    ConfigDraft scratch;
    return setting.apply(value, scratch);
}

std::string quoted(const Setting& setting, std::string_view value) {
    return setting.secret ? "its value" : "\"" + clip_columns(printable(value), 80) + "\"";
}

std::string default_note(const Setting& setting) {
    return *setting.default_text == '\0' ? "ignored" : "using " + std::string(setting.default_text);
}

// Header values carry credentials; names are what a person wants to check.
std::string shown(const Setting& setting, const std::string& value) {
    if (!setting.secret) return without_password(value);
    std::string names;
    for (const std::string_view entry : split_list(value, ','))
        names +=
            (names.empty() ? "" : ",") + std::string(entry.substr(0, entry.find('='))) + "=***";
    return names;
}

}  // namespace

void ConfigBuilder::environment(const Environment& lookup) {
    for (const Setting& setting : settings()) {
        for (const char* variable : setting.variables) {
            const char* found = lookup(variable);
            const std::string_view value = trim_text(found == nullptr ? "" : found);
            if (value.empty()) continue;
            if (const Status status = check(setting, value); !status) {
                warnings_.push_back(std::string(variable) + ": " + quoted(setting, value) + " " +
                                    status.error().text() + "; " + default_note(setting));
                continue;
            }
            const auto given = given_.find(setting.name);
            if (given == given_.end() || given->second.origin != Origin::flag)
                given_[setting.name] = {std::string(value), Origin::environment, variable};
            break;
        }
    }
}

Status ConfigBuilder::flag(std::string_view name, std::string_view value) {
    for (const Setting& setting : settings()) {
        if (name != setting.name) continue;
        if (const Status status = check(setting, value); !status)
            return Error{quoted(setting, value) + " " + status.error().text()};
        given_[setting.name] = {std::string(value), Origin::flag, "a flag"};
        return Done{};
    }
    return Error{"there is no setting \"" + std::string(name) + "\""};
}

bool ConfigBuilder::by_flag(std::string_view setting) const {
    const auto given = given_.find(setting);
    return given != given_.end() && given->second.origin == Origin::flag;
}

LoadedConfig ConfigBuilder::build() const {
    LoadedConfig loaded;
    loaded.warnings = warnings_;
    ConfigDraft draft;
    draft.endpoint_forced = by_flag("otlp.endpoint") || by_flag("otlp.traces_endpoint");
    draft.exporters_forced = by_flag("exporters");
    draft.config.sampler_forced = by_flag("sampler") || by_flag("sampler.argument");
    for (const Setting& setting : settings()) {
        const std::string_view name = setting.name;
        const auto given = given_.find(name);
        // The more specific variable doesn't stand against the more general flag.
        const bool overruled = name == "otlp.traces_endpoint" && by_flag("otlp.endpoint") &&
                               !by_flag("otlp.traces_endpoint");
        if (given == given_.end() || overruled) {
            loaded.entries.push_back(
                {setting.name, setting.default_text, Origin::built_in, "default"});
            continue;
        }
        const auto& [value, origin, source] = given->second;
        // Only values that check() took are here.
        [[maybe_unused]] const Status status = setting.apply(value, draft);
        loaded.entries.push_back({setting.name, shown(setting, value), origin, source});
    }
    resolve(draft);
    loaded.config = std::move(draft.config);
    for (std::string& note : draft.notes) loaded.warnings.push_back(std::move(note));
    return loaded;
}

std::vector<std::string> ConfigBuilder::setting_names() {
    std::vector<std::string> names;
    for (const Setting& setting : settings()) names.emplace_back(setting.name);
    return names;
}

}  // namespace remora
