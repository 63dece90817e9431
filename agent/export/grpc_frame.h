// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2 as far as a unary call needs it (grpc/doc/PROTOCOL-HTTP2.md): the frame around
// a message, and the status that stands in the trailers.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora {

// 0 or 1 (compressed by grpc-encoding), 4 bytes of length, the message.
std::string grpc_frame(std::string_view message, bool compressed = false);

// The message of an answer that holds exactly one, uncompressed. Nothing: it isn't that. A view
// into body.
std::optional<std::string_view> grpc_unframed(std::string_view body);

using HeaderFields = std::vector<std::pair<std::string, std::string>>;  // names in lower case

struct GrpcStatus {
    int code = 0;
    std::string message;  // any bytes
    // google.rpc.RetryInfo of grpc-status-details-bin: try again after so long.
    std::optional<std::chrono::milliseconds> retry_delay;
};
// From headers and trailers, later ones winning. Nothing: they hold none.
std::optional<GrpcStatus> read_grpc_status(const HeaderFields& fields);

// "UNAVAILABLE"; of unknown numbers "status 99".
std::string grpc_code_text(int code);

// Of an answer that is no gRPC: grpc/doc/http-grpc-status-mapping.md.
int grpc_code_of_http(int http_status);

// OTLP specification, "OTLP/gRPC Response", the table of retryable codes.
bool is_retryable_grpc_code(int code, bool has_retry_delay);

}  // namespace remora
