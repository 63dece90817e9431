// SPDX-License-Identifier: Apache-2.0
#include "agent/export/grpc_frame.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <protozero/pbf_message.hpp>

#include "agent/base/text.h"

namespace remora {
namespace {

using protozero::pbf_wire_type;

enum GrpcCode {
    cancelled = 1,
    unknown = 2,
    deadline_exceeded = 4,
    permission_denied = 7,
    resource_exhausted = 8,
    aborted = 10,
    out_of_range = 11,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
};

constexpr std::array<const char*, 17> code_texts = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

enum class RpcStatus : protozero::pbf_tag_type { details = 3 };
enum class Any : protozero::pbf_tag_type { type_url = 1, value = 2 };
enum class RetryInfo : protozero::pbf_tag_type { retry_delay = 1 };
enum class Duration : protozero::pbf_tag_type { seconds = 1, nanos = 2 };

template <typename Tag>
using Message = protozero::pbf_message<Tag>;

// RFC 4648, with or without padding, as gRPC's "-bin" fields come. Nothing: it isn't base64.
std::optional<std::string> base64_decoded(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    std::string decoded;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const size_t digit = digits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        bits = bits << 6 | static_cast<uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        decoded += static_cast<char>(bits >> count & 0xff);
    }
    return decoded;
}

std::chrono::milliseconds duration_of(Message<Duration> message) {
    int64_t seconds = 0, nanos = 0;
    while (message.next()) {
        switch (message.tag_and_type()) {
            case protozero::tag_and_type(Duration::seconds, pbf_wire_type::varint):
                seconds = message.get_int64();
                break;
            case protozero::tag_and_type(Duration::nanos, pbf_wire_type::varint):
                nanos = message.get_int64();
                break;
            default: message.skip();
        }
    }
    constexpr int64_t day = 24 * 3600;
    return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, day)) +
           std::chrono::milliseconds(std::clamp<int64_t>(nanos / 1'000'000, 0, 999));
}

std::optional<std::chrono::milliseconds> retry_delay_of(Message<Any> any) {
    std::string type;
    protozero::data_view value;
    while (any.next()) {
        switch (any.tag_and_type()) {
            case protozero::tag_and_type(Any::type_url, pbf_wire_type::length_delimited):
                type = any.get_string();
                break;
            case protozero::tag_and_type(Any::value, pbf_wire_type::length_delimited):
                value = any.get_view();
                break;
            default: any.skip();
        }
    }
    if (type != "type.googleapis.com/google.rpc.RetryInfo") return std::nullopt;
    Message<RetryInfo> info(value.data(), value.size());
    while (info.next(RetryInfo::retry_delay, pbf_wire_type::length_delimited))
        return duration_of(Message<Duration>(info.get_message()));
    return std::nullopt;
}

std::optional<std::chrono::milliseconds> read_details(std::string_view text) try {
    const auto status = base64_decoded(text);
    if (!status) return std::nullopt;
    Message<RpcStatus> message(status->data(), status->size());
    while (message.next(RpcStatus::details, pbf_wire_type::length_delimited))
        if (const auto delay = retry_delay_of(Message<Any>(message.get_message()))) return delay;
    return std::nullopt;
} catch (const std::exception&) {  // protozero: not protobuf
    return std::nullopt;
}

}  // namespace

std::string grpc_frame(std::string_view message, bool compressed) {
    const auto size = static_cast<uint32_t>(message.size());
    std::string frame;
    frame.reserve(message.size() + 5);
    frame += compressed ? '\1' : '\0';
    for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(size >> shift & 0xff);
    frame += message;
    return frame;
}

std::optional<std::string_view> grpc_unframed(std::string_view body) {
    if (body.size() < 5 || body[0] != '\0') return std::nullopt;
    uint32_t size = 0;
    for (int i = 1; i < 5; ++i) size = size << 8 | static_cast<uint8_t>(body[i]);
    body.remove_prefix(5);
    if (body.size() != size) return std::nullopt;
    return body;
}

std::optional<GrpcStatus> read_grpc_status(const HeaderFields& fields) {
    std::optional<GrpcStatus> status;
    std::string message, details;
    for (const auto& [name, value] : fields) {
        if (name == "grpc-status") {
            int code = unknown;
            std::from_chars(value.data(), value.data() + value.size(), code);
            status.emplace().code = code;
        } else if (name == "grpc-message") {
            if (!percent_decode(value, message)) message = value;
        } else if (name == "grpc-status-details-bin") {
            details = value;
        }
    }
    if (!status) return status;
    status->message = std::move(message);
    status->retry_delay = read_details(details);
    return status;
}

std::string grpc_code_text(int code) {
    if (code < 0 || static_cast<size_t>(code) >= code_texts.size())
        return "status " + std::to_string(code);
    return code_texts[static_cast<size_t>(code)];
}

int grpc_code_of_http(int http_status) {
    switch (http_status) {
        case 400: return internal;
        case 401: return unauthenticated;
        case 403: return permission_denied;
        case 404: return unimplemented;
        case 429:
        case 502:
        case 503:
        case 504: return unavailable;
        default: return unknown;
    }
}

bool is_retryable_grpc_code(int code, bool has_retry_delay) {
    switch (code) {
        case cancelled:
        case deadline_exceeded:
        case aborted:
        case out_of_range:
        case unavailable:
        case data_loss: return true;
        // Only where the server says that it will recover.
        case resource_exhausted: return has_retry_delay;
        default: return false;
    }
}

}  // namespace remora
