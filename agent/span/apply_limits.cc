// SPDX-License-Identifier: Apache-2.0
#include "agent/span/apply_limits.h"

namespace remora {
namespace {

// Bytes of the first `characters` code points.
size_t bytes_of(const std::string& text, size_t characters) {
    size_t at = 0;
    for (; at < text.size(); ++at) {
        const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
        if (begins && characters-- == 0) break;
    }
    return at;
}

void cut(std::string& text, size_t characters) {
    if (text.size() > characters) text.resize(bytes_of(text, characters));
}

void cut_values(std::vector<Attribute>& attributes, size_t characters) {
    if (characters == SpanLimits::unlimited) return;
    for (Attribute& attribute : attributes) {
        if (auto* text = std::get_if<std::string>(&attribute.value)) cut(*text, characters);
        if (auto* texts = std::get_if<std::vector<std::string>>(&attribute.value))
            for (std::string& text : *texts) cut(text, characters);
    }
}

template <typename T>
void keep(std::vector<T>& items, size_t most, uint32_t& dropped) {
    if (items.size() <= most) return;
    dropped += static_cast<uint32_t>(items.size() - most);
    items.erase(items.begin() + static_cast<ptrdiff_t>(most), items.end());
}

}  // namespace

void apply_limits(const SpanLimits& limits, Span& span) {
    keep(span.attributes, limits.attributes, span.dropped_attributes);
    cut_values(span.attributes, limits.attribute_value_length);
    keep(span.events, limits.events, span.dropped_events);
    for (SpanEvent& event : span.events) {
        keep(event.attributes, limits.event_attributes, event.dropped_attributes);
        cut_values(event.attributes, limits.attribute_value_length);
    }
    keep(span.links, limits.links, span.dropped_links);
    for (SpanLink& link : span.links) {
        keep(link.attributes, limits.link_attributes, link.dropped_attributes);
        cut_values(link.attributes, limits.attribute_value_length);
    }
}

}  // namespace remora
