// SPDX-License-Identifier: Apache-2.0
#include "agent/span/span_text.h"

#include "agent/base/utf8.h"

namespace remora {
namespace {

constexpr size_t name_limit = 1024;

void make_valid(std::string& text) {
    if (!is_valid_utf8(text)) text = sanitize_utf8(text);
}

void make_valid(std::vector<Attribute>& attributes) {
    for (Attribute& attribute : attributes) {
        make_valid(attribute.key);
        if (auto* text = std::get_if<std::string>(&attribute.value)) make_valid(*text);
        if (auto* texts = std::get_if<std::vector<std::string>>(&attribute.value))
            for (std::string& text : *texts) make_valid(text);
    }
}

}  // namespace

std::string_view base_name(std::string_view path) {
    constexpr std::string_view deleted = " (deleted)";  // /proc/pid/exe of a replaced file
    if (path.size() > deleted.size() && path.substr(path.size() - deleted.size()) == deleted)
        path.remove_suffix(deleted.size());
    while (!path.empty() && path.back() == '/') path.remove_suffix(1);
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

const Attribute* find_attribute(const std::vector<Attribute>& attributes, std::string_view key) {
    for (const Attribute& attribute : attributes)
        if (attribute.key == key) return &attribute;
    return nullptr;
}

void set_if_absent(std::vector<Attribute>& attributes, std::string_view key, AttributeValue value) {
    if (find_attribute(attributes, key) == nullptr)
        attributes.push_back({std::string(key), std::move(value)});
}

void finish_texts(Span& span) {
    make_valid(span.name);
    if (span.name.size() > name_limit) span.name.resize(clip_utf8(span.name, name_limit).size());
    make_valid(span.status_message);
    make_valid(span.attributes);
    for (SpanEvent& event : span.events) {
        make_valid(event.name);
        make_valid(event.attributes);
    }
    for (SpanLink& link : span.links) make_valid(link.attributes);
}

}  // namespace remora
