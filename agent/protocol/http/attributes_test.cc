// SPDX-License-Identifier: Apache-2.0
// Names, attributes and status of HTTP spans (semantic conventions 1.44, HTTP spans).
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <map>

#include "agent/protocol/description.h"
#include "agent/protocol/http/captured_fields.h"
#include "agent/protocol/http/forwarded.h"
#include "agent/protocol/http/known_methods.h"
#include "agent/protocol/http/url_parts.h"

namespace remora::protocol::http {
void describe(const ExchangeView&, Description&);

namespace {

struct Case {
    uint8_t role;
    std::string request;
    std::string response = "HTTP/1.1 200\n";
    uint16_t marks = 0;
    const char* peer = "192.0.2.7";
    uint64_t request_body = 0;
    uint64_t response_body = 0;
};

Description describe_case(const Case& c) {
    remora_exchange exchange{};
    exchange.role = c.role;
    exchange.marks = c.marks;
    exchange.request_body_bytes = c.request_body;
    exchange.response_body_bytes = c.response_body;
    exchange.peer.port = 8080;
    if (strchr(c.peer, ':') != nullptr) {
        exchange.peer.family = AF_INET6;
        inet_pton(AF_INET6, c.peer, exchange.peer.bytes);
    } else if (*c.peer != 0) {
        exchange.peer.family = AF_INET;
        inet_pton(AF_INET, c.peer, exchange.peer.bytes);
    }
    Description out;
    describe({exchange,
              {c.request.data(), c.request.size()},
              {},
              {c.response.data(), c.response.size()}},
             out);
    return out;
}

using Map = std::map<std::string, std::string>;

Map attributes(const Description& description) {
    Map out;
    for (const Attribute& a : description.attributes) {
        EXPECT_EQ(out.count(a.key), 0u) << a.key << " twice";
        if (const auto* text = std::get_if<std::string>(&a.value)) out[a.key] = *text;
        if (const auto* number = std::get_if<int64_t>(&a.value))
            out[a.key] = "#" + std::to_string(*number);
    }
    return out;
}
Map server(const std::string& request, const std::string& response = "HTTP/1.1 200\n") {
    return attributes(describe_case({REMORA_ROLE_SERVER, request, response}));
}
Map client(const std::string& request, uint16_t marks = 0, const char* peer = "192.0.2.7") {
    return attributes(describe_case({REMORA_ROLE_CLIENT, request, "HTTP/1.1 200\n", marks, peer}));
}

TEST(HttpServer, AllThatIsKnown) {
    const Description d = describe_case(
        {REMORA_ROLE_SERVER, "POST /a/b?c=d HTTP/1.1\nhost: example.com:8443\nuser-agent: curl/8\n",
         "HTTP/1.1 201\n", REMORA_MARK_TLS, "192.0.2.7", 5, 7});
    EXPECT_EQ(d.name, "POST");
    EXPECT_EQ(d.status, StatusCode::unset);
    EXPECT_EQ(d.error_type, "");
    EXPECT_EQ(attributes(d), (Map{{"http.request.method", "POST"},
                                  {"url.scheme", "https"},
                                  {"url.path", "/a/b"},
                                  {"url.query", "c=d"},
                                  {"server.address", "example.com"},
                                  {"server.port", "#8443"},
                                  {"client.address", "192.0.2.7"},
                                  {"user_agent.original", "curl/8"},
                                  {"network.protocol.version", "1.1"},
                                  {"http.response.status_code", "#201"},
                                  {"http.request.body.size", "#5"},
                                  {"http.response.body.size", "#7"}}));
}

TEST(HttpServer, LittleIsKnown) {
    const Description d = describe_case({REMORA_ROLE_SERVER, "GET / HTTP/1.0\n", "", 0, ""});
    EXPECT_EQ(d.name, "GET");
    EXPECT_EQ(attributes(d), (Map{{"http.request.method", "GET"},
                                  {"url.scheme", "http"},
                                  {"url.path", "/"},
                                  {"network.protocol.version", "1.0"}}));
}

TEST(HttpServer, ForwardedSaysWhatTheClientAskedFor) {
    const Map m = server(
        "GET / HTTP/1.1\nhost: inner:8000\n"
        "forwarded: "
        "For=\"[2001:db8:cafe::17]:4711\";Proto=https;Host=\"www.example.com:8443\";by=_x, "
        "for=10.0.0.1\n"
        "x-forwarded-for: 198.51.100.1\nx-forwarded-host: other.example\nx-forwarded-proto: "
        "http\n");
    EXPECT_EQ(m.at("client.address"), "2001:db8:cafe::17");
    EXPECT_EQ(m.at("server.address"), "www.example.com");
    EXPECT_EQ(m.at("server.port"), "#8443");
    EXPECT_EQ(m.at("url.scheme"), "https");
}

TEST(HttpServer, XForwarded) {
    const Map m = server(
        "GET / HTTP/1.1\nhost: inner:8000\nx-forwarded-for: 198.51.100.1:4000, 10.0.0.1\n"
        "x-forwarded-host: www.example.com\nx-forwarded-port: 8443\nx-forwarded-proto: "
        "https,http\n");
    EXPECT_EQ(m.at("client.address"), "198.51.100.1");
    EXPECT_EQ(m.at("server.address"), "www.example.com");
    EXPECT_EQ(m.at("server.port"), "#8443");
    EXPECT_EQ(m.at("url.scheme"), "https");
}

TEST(HttpServer, HiddenClientsAreNotAddresses) {
    for (const char* node : {"unknown", "_hidden", "\"_secret\"", ""}) {
        const Map m = server(std::string("GET / HTTP/1.1\nforwarded: for=") + node + "\n");
        EXPECT_EQ(m.at("client.address"), "192.0.2.7") << node;
    }
}

TEST(HttpServer, AbsoluteTargets) {
    const Map m = server("GET http://other.example:81?x HTTP/1.1\nhost: a\n");
    EXPECT_EQ(m.at("url.path"), "/");
    EXPECT_EQ(m.at("url.query"), "x");
    EXPECT_EQ(m.at("url.scheme"), "http");
    EXPECT_EQ(m.at("server.address"), "other.example");
    EXPECT_EQ(m.at("server.port"), "#81");
}

TEST(HttpServer, OfSeveralLinesTheFirst) {
    const Map m = server(
        "GET / HTTP/1.1\nhost: a\nhost: b\nx-forwarded-for: 1.1.1.1\nx-forwarded-for: 2.2.2.2\n");
    EXPECT_EQ(m.at("server.address"), "a");
    EXPECT_EQ(m.at("client.address"), "1.1.1.1");
}

TEST(HttpServer, NoPortIsInvented) {
    EXPECT_EQ(server("GET / HTTP/1.1\nhost: example.com\n").count("server.port"), 0u);
    EXPECT_EQ(server("GET / HTTP/1.1\nhost: example.com:x\n").count("server.port"), 0u);
    EXPECT_EQ(server("GET / HTTP/1.1\nhost: example.com:65536\n").count("server.port"), 0u);
}

TEST(HttpClient, AllThatIsKnown) {
    const Description d = describe_case(
        {REMORA_ROLE_CLIENT, "GET /a?b=c HTTP/1.1\nhost: example.com\nuser-agent: curl/8\n",
         "HTTP/1.1 200\n", 0, "192.0.2.7", 0, 3});
    EXPECT_EQ(d.name, "GET");
    EXPECT_EQ(attributes(d), (Map{{"http.request.method", "GET"},
                                  {"server.address", "example.com"},
                                  {"server.port", "#80"},
                                  {"url.full", "http://example.com/a?b=c"},
                                  {"network.protocol.version", "1.1"},
                                  {"http.response.status_code", "#200"},
                                  {"http.response.body.size", "#3"}}));
}

TEST(HttpClient, InsideTls) {
    const Map m = client("GET / HTTP/1.1\nhost: example.com\n", REMORA_MARK_TLS);
    EXPECT_EQ(m.at("url.full"), "https://example.com/");
    EXPECT_EQ(m.at("server.port"), "#443");
}

TEST(HttpClient, ThroughAProxy) {
    const Map m = client(
        "GET http://REDACTED:REDACTED@origin.example:81/x HTTP/1.1\nhost: origin.example:81\n");
    EXPECT_EQ(m.at("url.full"), "http://REDACTED:REDACTED@origin.example:81/x");
    EXPECT_EQ(m.at("server.address"), "origin.example");
    EXPECT_EQ(m.at("server.port"), "#81");
}

TEST(HttpClient, Tunnels) {
    const Map m = client("CONNECT secure.example:443 HTTP/1.1\nhost: secure.example:443\n");
    EXPECT_EQ(m.at("server.address"), "secure.example");
    EXPECT_EQ(m.at("server.port"), "#443");
    EXPECT_EQ(m.count("url.full"), 0u);
}

TEST(HttpClient, WithoutAHost) {
    const Map four = client("GET /x HTTP/1.0\n");
    EXPECT_EQ(four.at("url.full"), "http://192.0.2.7:8080/x");
    EXPECT_EQ(four.at("server.address"), "192.0.2.7");
    EXPECT_EQ(four.at("server.port"), "#8080");
    EXPECT_EQ(client("GET /x HTTP/1.0\n", 0, "2001:db8::1").at("url.full"),
              "http://[2001:db8::1]:8080/x");
    EXPECT_EQ(client("GET /x HTTP/1.0\n", 0, "").count("server.address"), 0u);
}

TEST(HttpClient, IpV6Hosts) {
    const Map m = client("GET / HTTP/1.1\nhost: [2001:db8::1]:81\n");
    EXPECT_EQ(m.at("server.address"), "2001:db8::1");
    EXPECT_EQ(m.at("server.port"), "#81");
    EXPECT_EQ(m.at("url.full"), "http://[2001:db8::1]:81/");
}

TEST(HttpClient, OptionsOfTheWholeServer) {
    EXPECT_EQ(client("OPTIONS * HTTP/1.1\nhost: a\n").at("url.full"), "http://a");
}

TEST(HttpClient, AHostFieldTellsNoUser) {
    EXPECT_EQ(client("GET / HTTP/1.1\nhost: user:secret@a\n").at("url.full"), "http://a/");
}

TEST(HttpStatus, ByKind) {
    struct Row {
        int status;
        bool server_error, client_error;
    };
    for (const Row& row : {Row{100, false, false}, Row{101, false, false}, Row{200, false, false},
                           Row{302, false, false}, Row{399, false, false}, Row{400, false, true},
                           Row{404, false, true}, Row{499, false, true}, Row{500, true, true},
                           Row{599, true, true}}) {
        for (const uint8_t role : {REMORA_ROLE_SERVER, REMORA_ROLE_CLIENT}) {
            const bool error = role == REMORA_ROLE_SERVER ? row.server_error : row.client_error;
            const std::string code = std::to_string(row.status);
            const Description d =
                describe_case({role, "GET / HTTP/1.1\n", "HTTP/1.1 " + code + "\n"});
            EXPECT_EQ(d.status, error ? StatusCode::error : StatusCode::unset) << row.status;
            EXPECT_EQ(d.error_type, error ? code : "") << row.status;
            EXPECT_EQ(d.status_message, "");
            EXPECT_EQ(attributes(d).at("http.response.status_code"), "#" + code);
        }
    }
}

TEST(HttpStatus, OfTheFinalResponse) {
    const Map m = server("GET / HTTP/1.1\n", "HTTP/1.1 100\nHTTP/1.1 103\nHTTP/1.1 204\n");
    EXPECT_EQ(m.at("http.response.status_code"), "#204");
}

TEST(HttpStatus, NoneWithoutAResponse) {
    for (const char* response :
         {"", "HTTP/1.1 20", "HTTP/1.1 200", "garbage\n", "HTTP/1.1 2x0\n", "\n"}) {
        const Map m = server("GET / HTTP/1.1\n", response);
        EXPECT_EQ(m.count("http.response.status_code"), 0u) << response;
        EXPECT_EQ(m.count("http.response.body.size"), 0u) << response;
    }
}

TEST(HttpMethod, Unknown) {
    const Description d = describe_case({REMORA_ROLE_SERVER, "PURGE / HTTP/1.1\n"});
    EXPECT_EQ(d.name, "HTTP");
    EXPECT_EQ(attributes(d).at("http.request.method"), "_OTHER");
    EXPECT_EQ(attributes(d).at("http.request.method_original"), "PURGE");
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, "get / HTTP/1.1\n"}).name, "HTTP");
    for (const char* known : {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT",
                              "TRACE", "QUERY"}) {
        const Description k =
            describe_case({REMORA_ROLE_SERVER, known + std::string(" / HTTP/1.1\n")});
        EXPECT_EQ(k.name, known);
        EXPECT_EQ(attributes(k).count("http.request.method_original"), 0u);
    }
}

TEST(HttpMethod, TheKnownOnesCanBeReplaced) {
    set_known_methods({"PURGE", "Get"});
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, "PURGE / HTTP/1.1\n"}).name, "PURGE");
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, "GET / HTTP/1.1\n"}).name, "HTTP");
    set_known_methods({});
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, "GET / HTTP/1.1\n"}).name, "GET");
}

// A line that was cut by the capture's limit is not believed: half a host is another host.
TEST(HttpCapture, CutAnywhere) {
    const std::string whole = "GET /path?q HTTP/1.1\nhost: example.com\nuser-agent: agent\n";
    for (size_t size = 0; size < whole.size(); ++size) {
        const Map m = server(whole.substr(0, size));
        const auto host = m.find("server.address");
        EXPECT_TRUE(host == m.end() || host->second == "example.com") << size;
        const auto agent = m.find("user_agent.original");
        EXPECT_TRUE(agent == m.end()) << size;
    }
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, "GET /pa"}).name, "GET");
}

TEST(HttpCapture, Garbage) {
    for (const std::string bytes :
         {"", "\n", "\n\n\n", " ", "  \n", ":::\n", "GET\n", "GET /\n",
          "a b c d\n: \nhost\nhost:", "GET http:// HTTP/1.1\n", "GET :// x\n",
          "GET /  \nhost: [::1\nforwarded: ;;=;,\",\\\n"}) {
        for (const uint8_t role : {REMORA_ROLE_UNKNOWN, REMORA_ROLE_CLIENT, REMORA_ROLE_SERVER}) {
            const Description d = describe_case({role, bytes, bytes});
            EXPECT_TRUE(d.name == "HTTP" || d.name == "GET") << bytes;
        }
    }
    EXPECT_EQ(describe_case({REMORA_ROLE_SERVER, std::string(5000, 'A')}).name, "HTTP");
}

TEST(Url, Authorities) {
    struct Row {
        const char* text;
        const char* host;
        int port;
    };
    for (const Row& row :
         {Row{"a", "a", 0}, Row{"a:1", "a", 1}, Row{"a:", "a", 0}, Row{"a:99999", "a", 0},
          Row{"[::1]", "::1", 0}, Row{"[::1]:80", "::1", 80}, Row{"::1", "::1", 0},
          Row{"[::1", "", 0}, Row{"u:p@a:1", "a", 1}, Row{"", "", 0}, Row{"a:-1", "a", 0},
          Row{":80", "", 80}}) {
        const Authority authority = parse_authority(row.text);
        EXPECT_EQ(authority.host, row.host) << row.text;
        EXPECT_EQ(authority.port, row.port) << row.text;
    }
}

TEST(ForwardedField, QuotesAndOrder) {
    RequestHead head;
    head.forwarded = "proto=\"http,s\";for=\"a;b\" , for=second";
    EXPECT_EQ(origin_of(head).scheme, "http,s");
    EXPECT_EQ(origin_of(head).client, "a;b");
    head.forwarded = " host = x ; for=192.0.2.1 ";
    EXPECT_EQ(origin_of(head).client, "192.0.2.1");
    head.forwarded = "for=\"unclosed;host=a";
    EXPECT_EQ(origin_of(head).authority, "");
}

TEST(HttpAttributes, NamedFieldsAreLists) {
    remora_named_field tenant{}, cache{}, host{};
    const auto name = [](remora_named_field& field, const char* text, int where) {
        field.size = static_cast<uint8_t>(strlen(text));
        field.where = static_cast<uint8_t>(where);
        memcpy(field.name, text, field.size);
    };
    name(tenant, "x-tenant", REMORA_NAMED_SERVER_REQUEST);
    name(host, "host", REMORA_NAMED_SERVER_REQUEST);
    name(cache, "x-cache", REMORA_NAMED_SERVER_RESPONSE | REMORA_NAMED_CLIENT_RESPONSE);
    set_captured_fields({tenant, host, cache});
    const std::string request =
        "GET / HTTP/1.1\nx-tenant: a\nhost: h\nx-tenant: b \nx-secret: s\nx-tenant: cut";
    const std::string response = "HTTP/1.1 103\nx-cache: early\nHTTP/1.1 200\nx-cache: HIT\n";
    const Description server = describe_case({REMORA_ROLE_SERVER, request, response});
    const Description client = describe_case({REMORA_ROLE_CLIENT, request, response});
    set_captured_fields({});
    const auto value = [](const Description& in, const std::string& key) {
        for (const Attribute& attribute : in.attributes)
            if (attribute.key == key) return std::get<std::vector<std::string>>(attribute.value);
        return std::vector<std::string>{"(none)"};
    };
    using List = std::vector<std::string>;
    EXPECT_EQ(value(server, "http.request.header.x-tenant"), (List{"a", "b"}));
    EXPECT_EQ(value(server, "http.request.header.host"), (List{"h"}));
    EXPECT_EQ(value(server, "http.request.header.x-secret"), (List{"(none)"}));
    EXPECT_EQ(value(server, "http.response.header.x-cache"), (List{"HIT"}));
    EXPECT_EQ(value(client, "http.request.header.x-tenant"), (List{"(none)"}));
    EXPECT_EQ(value(client, "http.response.header.x-cache"), (List{"HIT"}));
    EXPECT_EQ(value(describe_case({REMORA_ROLE_SERVER, request, response}),
                    "http.request.header.x-tenant"),
              (List{"(none)"}));
}

}  // namespace
}  // namespace remora::protocol::http
