// SPDX-License-Identifier: Apache-2.0
#include "agent/span/resource_attributes.h"

#include <string>

#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/base/utf8.h"

namespace remora {
namespace {

bool decode(std::string_view text, std::string& out) {
    return percent_decode(trim_text(text), out) && is_valid_utf8(out);
}

void set(std::vector<Attribute>& attributes, std::string key, std::string value) {
    for (Attribute& attribute : attributes)
        if (attribute.key == key) {
            attribute.value = std::move(value);
            return;
        }
    attributes.push_back({std::move(key), std::move(value)});
}

Error bad_entry(std::string_view entry, const char* why) {
    return Error{"entry \"" + clip_columns(printable(entry), 80) + "\" " + why};
}

}  // namespace

Result<std::vector<Attribute>> parse_resource_attributes(std::string_view text) {
    std::vector<Attribute> attributes;
    for (const std::string_view entry : split_list(text, ',')) {
        const size_t equals = entry.find('=');
        if (equals == std::string_view::npos) return bad_entry(entry, "has no '='");
        std::string key, value;
        if (!decode(entry.substr(0, equals), key) || key.empty())
            return bad_entry(entry, "has no valid key");
        if (!decode(entry.substr(equals + 1), value))
            return bad_entry(entry, "has a value that is not percent-encoded UTF-8");
        set(attributes, std::move(key), std::move(value));
    }
    return attributes;
}

}  // namespace remora
