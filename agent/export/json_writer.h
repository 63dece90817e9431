// SPDX-License-Identifier: Apache-2.0
// Appends JSON to a string as it goes: no tree is built. A library's tree of values costs many
// times as much per span as all the rest of the agent. Commas are set here; braces must match.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/utf8.h"

namespace remora {

class JsonWriter {
public:
    explicit JsonWriter(std::string& out) : out_(out) {}

    void begin_object() { open('{'); }
    void end_object() { close('}'); }
    void begin_array() { open('['); }
    void end_array() { close(']'); }
    // Names are literals of ours: not escaped.
    void key(std::string_view name) {
        separate();
        out_ += '"';
        out_ += name;
        out_ += "\":";
        comma_ = false;
    }

    // A name that is not a literal of ours.
    void key_text(std::string_view name) {
        text(name);
        out_ += ':';
        comma_ = false;
    }

    // Any bytes; what is no UTF-8 becomes U+FFFD.
    void text(std::string_view value) {
        separate();
        if (is_valid_utf8(value))
            quote(value);
        else
            quote(sanitize_utf8(value));
    }
    void number(uint32_t value) { raw(fmt::format_int(value)); }
    void number(uint64_t value) { raw(fmt::format_int(value)); }
    // 64-bit integers are strings in protobuf's mapping: doubles can't hold them.
    void number_text(int64_t value) { quoted(fmt::format_int(value)); }
    void number_text(uint64_t value) { quoted(fmt::format_int(value)); }
    void boolean(bool value) {
        separate();
        out_ += value ? "true" : "false";
    }
    // JSON has no NaN and no infinity; the mapping spells them.
    void number(double value) {
        if (std::isnan(value)) return text("NaN");
        if (std::isinf(value)) return text(value > 0 ? "Infinity" : "-Infinity");
        separate();
        fmt::format_to(std::back_inserter(out_), "{}", value);
    }
    void hex(const uint8_t* bytes, size_t count) {
        constexpr char digits[] = "0123456789abcdef";
        separate();
        out_ += '"';
        for (size_t i = 0; i < count; ++i) {
            out_ += digits[bytes[i] >> 4];
            out_ += digits[bytes[i] & 15];
        }
        out_ += '"';
    }

private:
    void open(char brace) {
        separate();
        out_ += brace;
        comma_ = false;
    }
    void close(char brace) {
        out_ += brace;
        comma_ = true;
    }
    void separate() {
        if (comma_) out_ += ',';
        comma_ = true;
    }
    void raw(const fmt::format_int& digits) {
        separate();
        out_.append(digits.data(), digits.size());
    }
    void quoted(const fmt::format_int& digits) {
        separate();
        out_ += '"';
        out_.append(digits.data(), digits.size());
        out_ += '"';
    }
    // RFC 8259, 7: the quotation mark, the backslash and C0 controls must be escaped. DEL and the C1
    // controls (U+0080 to U+009F) are, too: a file is looked at in a terminal, which obeys them.
    void quote(std::string_view value) {
        out_ += '"';
        size_t done = 0;
        for (size_t i = 0; i < value.size(); ++i) {
            const auto c = static_cast<uint8_t>(value[i]);
            if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && c != 0xc2) continue;
            if (c == 0xc2 && static_cast<uint8_t>(value[i + 1]) > 0x9f) continue;  // a letter
            out_.append(value, done, i - done);
            if (c == '"' || c == '\\') {
                out_ += '\\';
                out_ += static_cast<char>(c);
            } else {
                // The second byte of a C1 control is its code (RFC 3629).
                const auto code = static_cast<uint8_t>(c == 0xc2 ? value[++i] : c);
                fmt::format_to(std::back_inserter(out_), "\\u{:04x}", code);
            }
            done = i + 1;
        }
        out_.append(value, done, value.size() - done);
        out_ += '"';
    }

    std::string& out_;
    bool comma_ = false;
};

}  // namespace remora
