// SPDX-License-Identifier: Apache-2.0
#include "agent/config/otlp_endpoint.h"

#include <gtest/gtest.h>

#include <map>

#include "agent/config/config_builder.h"

namespace remora {
namespace {

LoadedConfig load(const std::map<std::string, std::string>& variables) {
    ConfigBuilder builder;
    builder.environment([&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
    return builder.build();
}

TEST(OtlpEndpoint, TheProtocolDecidesTheDefaultEndpoint) {
    const OtlpConfig grpc = load({{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}}).config.otlp;
    EXPECT_EQ(grpc.protocol, OtlpProtocol::grpc);
    EXPECT_EQ(grpc.endpoint, "http://localhost:4317");
    const OtlpConfig json = load({{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}}).config.otlp;
    EXPECT_EQ(json.protocol, OtlpProtocol::http_json);
    EXPECT_EQ(json.endpoint, "http://localhost:4318/v1/traces");
}

TEST(OtlpEndpoint, AnEndpointMayBeASocketOrHaveNoScheme) {
    const auto otlp = [](const char* endpoint, const char* protocol, const char* insecure = "") {
        return load({{"OTEL_EXPORTER_OTLP_ENDPOINT", endpoint},
                     {"OTEL_EXPORTER_OTLP_PROTOCOL", protocol},
                     {"OTEL_EXPORTER_OTLP_INSECURE", insecure}})
            .config.otlp;
    };
    for (const char* name : {"unix:/run/c.sock", "unix:///run/c.sock"}) {
        EXPECT_EQ(otlp(name, "grpc").unix_socket, "/run/c.sock");
        EXPECT_EQ(otlp(name, "http/json").endpoint, "http://localhost/v1/traces");
    }
    // Specification, "OTLP Exporter": without a scheme TLS, unless insecure; of gRPC alone.
    EXPECT_EQ(otlp("c:4317", "grpc").endpoint, "https://c:4317/v1/traces");
    EXPECT_EQ(otlp("c:4317", "grpc", "true").endpoint, "http://c:4317/v1/traces");
    EXPECT_EQ(otlp("c:4318", "http/protobuf").endpoint, "http://c:4318/v1/traces");
    for (const char* bad : {"unix:relative", "unix:", "c", ":4317", "c:port", "c:70000", "c d:1"})
        EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_ENDPOINT", bad}}).warnings.size(), 1u) << bad;
}

}  // namespace
}  // namespace remora
