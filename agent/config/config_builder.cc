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

// For a warning. What can't be read may be a secret that lost its name.
std::string quoted(const Setting& setting, std::string_view value) {
    if (setting.shown == Shown::names) return "its value";
    const std::string text =
        setting.shown == Shown::url ? without_secrets(value) : std::string(value);
    return "\"" + clip_columns(printable(text), 80) + "\"";
}

// For `remora config`. Header values carry credentials; names are what a person wants to check.
std::string shown(const Setting& setting, const std::string& value) {
    if (setting.shown == Shown::all) return value;
    if (setting.shown == Shown::url) return without_secrets(value);
    std::string names;
    for (const std::string_view entry : split_list(value, ','))
        names +=
            (names.empty() ? "" : ",") + std::string(entry.substr(0, entry.find('='))) + "=***";
    return names;
}

}  // namespace

void ConfigBuilder::environment(const Environment& lookup) {
    for (const Setting& setting : settings()) {
        std::map<std::string, std::string> refused;  // by variable: what is wrong with its value
        const char* used = nullptr;
        for (const char* variable : setting.variables) {
            const char* found = lookup(variable);
            const std::string_view value = trim_text(found == nullptr ? "" : found);
            if (value.empty()) continue;
            if (const Status status = check(setting, value); !status) {
                refused[variable] = quoted(setting, value) + " " + status.error().text();
                if (setting.name == std::string_view("resource.attributes"))
                    refused_attributes_ = value;
                continue;
            }
            used = variable;
            const auto given = given_.find(setting.name);
            if (given == given_.end() || given->second.origin != Origin::flag)
                given_[setting.name] = {std::string(value), Origin::environment, variable};
            break;
        }
        for (const auto& [variable, what] : refused) warn(variable, what, used, setting);
    }
}

// A variable that several settings share is warned about once.
void ConfigBuilder::warn(const std::string& variable, const std::string& what, const char* used,
                         const Setting& setting) {
    if (!warned_.insert(variable).second) return;
    const std::string_view standard = setting.default_text;
    std::string instead = "ignored";
    if (used != nullptr)
        instead = "using " + std::string(used);
    else if (!standard.empty() && standard.front() == '(')
        instead = "using " + std::string(standard.substr(1, standard.size() - 2));
    else if (!standard.empty())
        instead = "using " + std::string(standard);
    warnings_.push_back(variable + ": " + what + "; " + instead);
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
        for (const std::string& note : draft.notes)
            draft.warnings.push_back(source + ": " + quoted(setting, value) + " " + note);
        draft.notes.clear();
        loaded.entries.push_back({setting.name, shown(setting, value), origin, source});
    }
    resolve(draft);
    loaded.config = std::move(draft.config);
    loaded.config.refused_resource_attributes = refused_attributes_;
    for (std::string& warning : draft.warnings) loaded.warnings.push_back(std::move(warning));
    return loaded;
}

std::vector<std::string> ConfigBuilder::setting_names() {
    std::vector<std::string> names;
    for (const Setting& setting : settings()) names.emplace_back(setting.name);
    return names;
}

std::vector<std::string> ConfigBuilder::reference() {
    std::vector<std::string> lines = {"| setting | variable | default | meaning |",
                                      "|---|---|---|---|"};
    for (const Setting& setting : settings()) {
        std::string variables;
        for (const char* variable : setting.variables)
            variables += (variables.empty() ? "`" : ", `") + std::string(variable) + "`";
        std::string standard = setting.default_text;
        if (standard[0] == '(')
            standard = standard.substr(1, standard.size() - 2);
        else if (!standard.empty())
            standard = "`" + standard + "`";
        lines.push_back("| `" + std::string(setting.name) + "` | " + variables + " | " + standard +
                        (standard.empty() ? "| " : " | ") + setting.meaning + " |");
    }
    return lines;
}

}  // namespace remora
