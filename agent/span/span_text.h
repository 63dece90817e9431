// SPDX-License-Identifier: Apache-2.0
// Texts from a target's memory, made fit for a span: ended at the first NUL, cut, well-formed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/protocol/description.h"
#include "agent/span/span.h"

namespace remora {

// A fixed field of a record: up to its first NUL, or all of it where there is none. Not yet
// checked to be UTF-8.
template <size_t N>
std::string_view field_text(const char (&field)[N]) {
    const std::string_view all(field, N);
    return all.substr(0, all.find('\0'));
}

// "/usr/bin/nginx (deleted)" -> "nginx"; "" for "" and for "/".
std::string_view base_name(std::string_view path);

const Attribute* find_attribute(const std::vector<Attribute>& attributes, std::string_view key);
// OTLP wants keys to be unique: the first one said stands.
void set_if_absent(std::vector<Attribute>& attributes, std::string_view key, AttributeValue value);

// The last step before a span leaves its builder: every text is made well-formed UTF-8 and names
// are cut to a length that no back end refuses.
void finish_texts(Span& span);

}  // namespace remora
