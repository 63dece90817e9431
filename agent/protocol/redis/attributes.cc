// SPDX-License-Identifier: Apache-2.0
// Redis exchanges as OpenTelemetry's database conventions describe them (semantic conventions
// 1.44, database client spans and the Redis page). What was captured is one command name a line
// in the request, one error code a line in the response.
#include "agent/protocol/description.h"

namespace remora::protocol::redis {
namespace {

constexpr size_t text_limit = 64;  // of a name or code: the parser writes less, a forger may not

// Only what the parser could have written: captures come from memory of the traced program.
bool is_plain(std::string_view text) {
    if (text.empty() || text.size() > text_limit) return false;
    for (char c : text) {
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                           c == '_' || c == '-' || c == ' ';
        if (!plain) return false;
    }
    return true;
}

std::vector<std::string_view> lines_of(ByteView capture) {
    std::vector<std::string_view> lines;
    std::string_view text(capture.chars(), capture.size);
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        lines.push_back(is_plain(text.substr(0, end)) ? text.substr(0, end) : "_OTHER");
        text.remove_prefix(end + 1);
    }
    return lines;
}

std::string operation_name(const std::vector<std::string_view>& commands, uint32_t batch) {
    if (commands.empty()) return batch > 1 ? "PIPELINE" : "";
    if (batch <= 1) return std::string(commands.front());
    if (commands.size() != batch) return "PIPELINE";  // the capture was cut: the rest is unknown
    for (std::string_view command : commands)
        if (command != commands.front()) return "PIPELINE";
    return "BATCH " + std::string(commands.front());
}

}  // namespace

void describe(const ExchangeView& view, Description& out) {
    const std::string operation = operation_name(lines_of(view.request), view.exchange.batch);
    const std::string address = address_text(view.exchange.peer);

    out.set("db.system.name", "redis");
    if (!operation.empty()) out.set("db.operation.name", operation);
    if (view.exchange.batch > 1)
        out.set("db.operation.batch.size", static_cast<int64_t>(view.exchange.batch));
    std::string target;
    if (!address.empty()) {
        out.set("server.address", address);
        out.set("server.port", static_cast<int64_t>(view.exchange.peer.port));
        const bool colons = address.find(':') != std::string::npos;
        target = colons ? "[" + address + "]" : address;
        target += ":" + std::to_string(view.exchange.peer.port);
    }
    out.name = operation.empty() ? target : operation;
    if (!operation.empty() && !target.empty()) out.name += " " + target;
    if (out.name.empty()) out.name = "redis";

    // Of a pipeline's errors the first is the status.
    const std::vector<std::string_view> errors = lines_of(view.response);
    if (errors.empty()) return;
    out.set("db.response.status_code", std::string(errors.front()));
    out.error_type = std::string(errors.front());
    out.status = StatusCode::error;
}

}  // namespace remora::protocol::redis
