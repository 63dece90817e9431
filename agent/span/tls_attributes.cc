// SPDX-License-Identifier: Apache-2.0
#include "agent/span/tls_attributes.h"

#include <algorithm>
#include <string>

#include "agent/base/utf8.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

struct Suite {
    uint16_t number;
    std::string_view name;
};

// IANA, TLS Cipher Suites: what OpenSSL and GnuTLS agree on with certificates. By number.
constexpr Suite suites[] = {
    {0x0005, "TLS_RSA_WITH_RC4_128_SHA"},
    {0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
    {0x0016, "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA"},
    {0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"},
    {0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"},
    {0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"},
    {0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"},
    {0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
    {0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"},
    {0x0041, "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA"},
    {0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"},
    {0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"},
    {0x0084, "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA"},
    {0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
    {0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
    {0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0x1301, "TLS_AES_128_GCM_SHA256"},
    {0x1302, "TLS_AES_256_GCM_SHA384"},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
    {0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
    {0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
    {0xc012, "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"},
    {0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
    {0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
    {0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
    {0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
    {0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
    {0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
    {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0xc09c, "TLS_RSA_WITH_AES_128_CCM"},
    {0xc09d, "TLS_RSA_WITH_AES_256_CCM"},
    {0xc09e, "TLS_DHE_RSA_WITH_AES_128_CCM"},
    {0xc09f, "TLS_DHE_RSA_WITH_AES_256_CCM"},
    {0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"},
    {0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM"},
    {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
};

// As the conventions write it: "1.2" of tls, "3.0" of ssl.
void set_version(uint16_t version, std::vector<Attribute>& attributes) {
    if (version < 0x0300 || version > 0x0304) return;
    const bool ssl = version == 0x0300;
    set_if_absent(attributes, "tls.protocol.name", ssl ? "ssl" : "tls");
    set_if_absent(attributes, "tls.protocol.version",
                  ssl ? "3.0" : "1." + std::to_string((version & 0xff) - 1));
}

}  // namespace

std::string_view cipher_suite_name(uint16_t number) {
    const Suite* found =
        std::lower_bound(std::begin(suites), std::end(suites), number,
                         [](const Suite& suite, uint16_t wanted) { return suite.number < wanted; });
    return found != std::end(suites) && found->number == number ? found->name : std::string_view{};
}

void set_tls(const remora_exchange& exchange, std::vector<Attribute>& attributes) {
    if ((exchange.marks & REMORA_MARK_TLS) == 0) return;
    set_version(exchange.tls_version, attributes);
    const std::string_view cipher = cipher_suite_name(exchange.tls_cipher);
    if (!cipher.empty()) set_if_absent(attributes, "tls.cipher", std::string(cipher));
    if (exchange.tls_version != 0)
        set_if_absent(attributes, "tls.resumed", exchange.tls_resumed != 0);
    const std::string_view alpn = field_text(exchange.alpn);
    if (!alpn.empty()) set_if_absent(attributes, "tls.next_protocol", sanitize_utf8(alpn));
}

}  // namespace remora
