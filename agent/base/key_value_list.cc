// SPDX-License-Identifier: Apache-2.0
#include "agent/base/key_value_list.h"

#include "agent/base/printable.h"
#include "agent/base/text.h"
#include "agent/base/utf8.h"

namespace remora {
namespace {

bool decode(std::string_view text, std::string& out) {
    return percent_decode(trim_text(text), out) && is_valid_utf8(out);
}

void set(KeyValueList& list, std::string key, std::string value) {
    for (auto& [known, old_value] : list)
        if (known == key) {
            old_value = std::move(value);
            return;
        }
    list.emplace_back(std::move(key), std::move(value));
}

Error bad_entry(std::string_view entry, const char* why) {
    return Error{"entry \"" + clip_columns(printable(entry), 80) + "\" " + why};
}

}  // namespace

Result<KeyValueList> parse_key_value_list(std::string_view text) {
    KeyValueList list;
    for (const std::string_view entry : split_list(text, ',')) {
        const size_t equals = entry.find('=');
        if (equals == std::string_view::npos) return bad_entry(entry, "has no '='");
        std::string key, value;
        if (!decode(entry.substr(0, equals), key) || key.empty())
            return bad_entry(entry, "has no valid key");
        if (!decode(entry.substr(equals + 1), value))
            return bad_entry(entry, "has a value that is not percent-encoded UTF-8");
        set(list, std::move(key), std::move(value));
    }
    return list;
}

}  // namespace remora
