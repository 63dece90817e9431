// SPDX-License-Identifier: Apache-2.0
#include "agent/span/tls_attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

namespace remora {
namespace {

using testing::IsEmpty;

std::map<std::string, std::string> attributes_of(const remora_exchange& exchange) {
    std::vector<Attribute> attributes;
    set_tls(exchange, attributes);
    std::map<std::string, std::string> out;
    for (const Attribute& attribute : attributes) {
        const auto* text = std::get_if<std::string>(&attribute.value);
        const auto* truth = std::get_if<bool>(&attribute.value);
        std::string value = "(other)";
        if (text != nullptr) value = *text;
        if (truth != nullptr) value = *truth ? "true" : "false";
        EXPECT_TRUE(out.emplace(attribute.key, value).second) << attribute.key << " twice";
    }
    return out;
}

remora_exchange inside_tls() {
    remora_exchange exchange{};
    exchange.marks = REMORA_MARK_TLS;
    exchange.tls_version = 0x0304;
    exchange.tls_cipher = 0x1302;
    memcpy(exchange.alpn, "http/1.1", 8);
    return exchange;
}

TEST(TlsAttributes, SayWhatTheHandshakeAgreedOn) {
    const std::map<std::string, std::string> expected{{"tls.protocol.name", "tls"},
                                                      {"tls.protocol.version", "1.3"},
                                                      {"tls.cipher", "TLS_AES_256_GCM_SHA384"},
                                                      {"tls.resumed", "false"},
                                                      {"tls.next_protocol", "http/1.1"}};
    EXPECT_EQ(attributes_of(inside_tls()), expected);
}

TEST(TlsAttributes, NothingOutsideTls) {
    remora_exchange exchange = inside_tls();
    exchange.marks = 0;
    EXPECT_THAT(attributes_of(exchange), IsEmpty());
}

TEST(TlsAttributes, NothingThatIsNotKnown) {
    remora_exchange exchange{};
    exchange.marks = REMORA_MARK_TLS;
    EXPECT_THAT(attributes_of(exchange), IsEmpty());
    exchange.tls_version = 0x0305;  // not one that exists
    exchange.tls_cipher = 0xffff;
    EXPECT_EQ(attributes_of(exchange).count("tls.protocol.version"), 0u);
    EXPECT_EQ(attributes_of(exchange).count("tls.cipher"), 0u);
}

TEST(TlsAttributes, EveryVersion) {
    const std::map<uint16_t, std::string> versions{
        {0x0300, "ssl 3.0"}, {0x0301, "tls 1.0"}, {0x0302, "tls 1.1"}, {0x0303, "tls 1.2"}};
    for (const auto& [number, expected] : versions) {
        remora_exchange exchange = inside_tls();
        exchange.tls_version = number;
        auto found = attributes_of(exchange);
        EXPECT_EQ(found["tls.protocol.name"] + " " + found["tls.protocol.version"], expected);
    }
}

TEST(TlsAttributes, ResumedAndAnAlpnWithoutAnEnd) {
    remora_exchange exchange = inside_tls();
    exchange.tls_resumed = 1;
    memset(exchange.alpn, 'x', sizeof(exchange.alpn));
    auto found = attributes_of(exchange);
    EXPECT_EQ(found["tls.resumed"], "true");
    EXPECT_EQ(found["tls.next_protocol"], std::string(sizeof(exchange.alpn), 'x'));
}

TEST(TlsAttributes, SuitesAreFoundAtBothEndsOfTheTable) {
    EXPECT_EQ(cipher_suite_name(0x0005), "TLS_RSA_WITH_RC4_128_SHA");
    EXPECT_EQ(cipher_suite_name(0x1301), "TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(cipher_suite_name(0xc02f), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    EXPECT_EQ(cipher_suite_name(0xccaa), "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256");
    EXPECT_EQ(cipher_suite_name(0), "");
    EXPECT_EQ(cipher_suite_name(0xffff), "");
    for (unsigned number = 0, names = 0; number < 0x10000; ++number) {
        names += cipher_suite_name(static_cast<uint16_t>(number)).empty() ? 0 : 1;
        if (number == 0xffff) {
            EXPECT_GT(names, 40u);
        }
    }
}

}  // namespace
}  // namespace remora
