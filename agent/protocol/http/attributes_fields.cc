// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>
#include <utility>

#include "agent/base/text.h"
#include "agent/protocol/http/captured_fields.h"
#include "agent/protocol/named_fields.h"

namespace remora::protocol::http {
namespace {

std::vector<remora_named_field>& captured_fields() {
    static std::vector<remora_named_field> fields;
    return fields;
}

void add(std::string key, std::string_view value, Description& out) {
    for (Attribute& attribute : out.attributes)
        if (attribute.key == key) {
            std::get<std::vector<std::string>>(attribute.value).emplace_back(value);
            return;
        }
    out.set(std::move(key), std::vector<std::string>{std::string(value)});
}

void remove_all(const std::string& prefix, Description& out) {
    auto& all = out.attributes;
    for (size_t i = all.size(); i > 0; --i)
        if (all[i - 1].key.compare(0, prefix.size(), prefix) == 0)
            all.erase(all.begin() + static_cast<ptrdiff_t>(i - 1));
}

// Lines of "name: value" behind a start line; each further start line begins another head, of which
// the last one counts: the final response follows interim ones.
void describe_head(ByteView capture, const NamedFields& named, const std::string& prefix,
                   Description& out) {
    if (named.sizes == 0 || capture.empty()) return;
    std::string_view text(capture.chars(), capture.size);
    bool first = true;
    for (size_t end; (end = text.find('\n')) != std::string_view::npos;
         text.remove_prefix(end + 1)) {
        const std::string_view line = text.substr(0, end);
        const size_t colon = line.find(": ");
        if (std::exchange(first, false)) continue;
        if (colon == std::string_view::npos) {
            remove_all(prefix, out);
            continue;
        }
        const remora_named_field* field = named.find({line.data(), colon});
        if (field == nullptr) continue;
        add(prefix + std::string(field->name, field->size), trim_text(line.substr(colon + 2)), out);
    }
}

}  // namespace

void set_captured_fields(std::vector<remora_named_field> fields) {
    captured_fields() = std::move(fields);
}

void describe_fields(const ExchangeView& view, Description& out) {
    const auto& fields = captured_fields();
    if (fields.empty()) return;
    const auto named = [&](bool request) {
        return named_fields_of(fields.data(), static_cast<uint32_t>(fields.size()),
                               named_where(view.exchange.role, request));
    };
    describe_head(view.request, named(true), "http.request.header.", out);
    describe_head(view.response, named(false), "http.response.header.", out);
}

}  // namespace remora::protocol::http
