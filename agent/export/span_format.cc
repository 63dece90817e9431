// SPDX-License-Identifier: Apache-2.0
#include "agent/export/span_format.h"

#include <fmt/format.h>

#include <ctime>

namespace remora {
namespace {

// Three significant digits of a value in [0, 1000).
std::string three_digits(double value, const char* unit) {
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    return fmt::format("{:.{}f} {}", value, decimals, unit);
}

struct ValueText {
    std::string operator()(const std::string& v) const { return v; }
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(const std::vector<std::string>& v) const {
        std::string text = "[";
        for (const std::string& item : v) text += (text.size() > 1 ? "," : "") + item;
        return text + "]";
    }
};

}  // namespace

std::string duration_text(uint64_t nanoseconds) {
    const auto value = static_cast<double>(nanoseconds);
    if (value < 1e3) return fmt::format("{} ns", nanoseconds);
    if (value < 999.5e3) return three_digits(value / 1e3, "us");
    if (value < 999.5e6) return three_digits(value / 1e6, "ms");
    if (value < 59.95e9) return three_digits(value / 1e9, "s");
    const uint64_t seconds = (nanoseconds + 500'000'000) / 1'000'000'000;
    if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
    return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string utc_text(uint64_t unix_ns) {
    const auto seconds = static_cast<time_t>(unix_ns / 1'000'000'000);
    tm parts{};
    char date[32];
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    return fmt::format("{}.{:06}Z", date, unix_ns % 1'000'000'000 / 1000);
}

const char* kind_text(SpanKind kind) {
    switch (kind) {
        case SpanKind::server: return "SERVER";
        case SpanKind::client: return "CLIENT";
        case SpanKind::producer: return "PRODUCER";
        case SpanKind::consumer: return "CONSUMER";
        case SpanKind::internal: break;
    }
    return "INTERNAL";
}

std::string value_text(const AttributeValue& value) { return std::visit(ValueText{}, value); }

}  // namespace remora
