// SPDX-License-Identifier: Apache-2.0
// HTTP exchanges as OpenTelemetry's stable HTTP conventions describe them (semantic conventions
// 1.44, HTTP spans). Captures come from the traced program's memory: nothing in them is believed
// beyond what is looked at here. Texts may be ill-formed UTF-8: the span builder mends that.
#include "agent/base/text.h"
#include "agent/protocol/description.h"
#include "agent/protocol/http/captured_fields.h"
#include "agent/protocol/http/captured_head.h"
#include "agent/protocol/http/forwarded.h"
#include "agent/protocol/http/known_methods.h"
#include "agent/protocol/http/url_parts.h"

namespace remora::protocol::http {
namespace {

constexpr size_t method_limit = 20;  // the parser's; a forger may write more

struct Facts {
    const remora_exchange& exchange;
    RequestHead head;
    Target target;
    Origin origin;

    [[nodiscard]] bool client() const { return exchange.role == REMORA_ROLE_CLIENT; }
    [[nodiscard]] std::string_view own_scheme() const {
        return (exchange.marks & REMORA_MARK_TLS) != 0 ? "https" : "http";
    }
};

void set_text(Description& out, const char* key, std::string_view value) {
    if (!value.empty()) out.set(key, std::string(value));
}

int default_port(std::string_view scheme) {
    if (equals_ignoring_case(scheme, "https")) return 443;
    return equals_ignoring_case(scheme, "http") ? 80 : 0;
}

void set_method(const Facts& facts, Description& out) {
    const std::string_view method = facts.head.method;
    if (is_known_method(method)) {
        out.name = std::string(method);
        out.set("http.request.method", std::string(method));
        return;
    }
    out.name = "HTTP";
    out.set("http.request.method", "_OTHER");
    set_text(out, "http.request.method_original", method.substr(0, method_limit));
}

void set_server(std::string_view host, int port, Description& out) {
    if (host.empty()) return;
    out.set("server.address", std::string(host));
    if (port != 0) out.set("server.port", static_cast<int64_t>(port));
}

// The parser redacts the target; a Host field has no business with a user at all.
std::string_view without_user(std::string_view authority) {
    const size_t user = authority.rfind('@');
    return user == std::string_view::npos ? authority : authority.substr(user + 1);
}

// A client's server is whom it asks for, not the proxy that it talks to.
void describe_client(const Facts& facts, Description& out) {
    const Target& target = facts.target;
    const std::string_view scheme = target.scheme.empty() ? facts.own_scheme() : target.scheme;
    const bool in_target = !target.authority.empty();
    const std::string_view authority = in_target ? target.authority : facts.head.host;
    const Authority server = parse_authority(authority);
    const std::string peer = address_text(facts.exchange.peer);
    if (!server.host.empty()) {
        set_server(server.host, server.port != 0 ? server.port : default_port(scheme), out);
    } else {
        set_server(peer, facts.exchange.peer.port, out);
    }
    // The target of CONNECT is no URL, and a URL without a path is not what was asked for.
    if (target.path.empty()) return;
    std::string url(scheme);
    url.append("://");
    if (!authority.empty()) {
        url.append(in_target ? authority : without_user(authority));
    } else if (!peer.empty()) {
        const bool colons = peer.find(':') != std::string::npos;
        url.append(colons ? "[" + peer + "]" : peer);
        url.append(":" + std::to_string(facts.exchange.peer.port));
    }
    if (target.path != "*") url.append(target.path);
    if (!target.query.empty()) url.append("?").append(target.query);
    out.set("url.full", std::move(url));
}

std::string_view server_scheme(const Facts& facts) {
    if (!facts.origin.scheme.empty()) return facts.origin.scheme;
    return facts.target.scheme.empty() ? facts.own_scheme() : facts.target.scheme;
}

// The address that the client asked for, whatever proxies made of it on the way.
Authority asked_for(const Facts& facts) {
    if (!facts.origin.authority.empty()) {
        Authority original = parse_authority(facts.origin.authority);
        if (original.port == 0) original.port = parse_port(facts.origin.port);
        return original;
    }
    const bool in_target = !facts.target.authority.empty();
    return parse_authority(in_target ? facts.target.authority : facts.head.host);
}

void describe_server(const Facts& facts, Description& out) {
    out.set("url.scheme", std::string(server_scheme(facts)));
    set_text(out, "url.path", facts.target.path);
    set_text(out, "url.query", facts.target.query);
    const Authority server = asked_for(facts);
    set_server(server.host, server.port, out);
    if (!facts.origin.client.empty()) {
        out.set("client.address", std::string(facts.origin.client));
    } else {
        set_text(out, "client.address", address_text(facts.exchange.peer));
    }
    set_text(out, "user_agent.original", facts.head.user_agent);
}

// A 4xx is the client's mistake: an error of its span, not of the server's.
void set_result(const Facts& facts, int status, Description& out) {
    if (status == 0) return;
    out.set("http.response.status_code", static_cast<int64_t>(status));
    if (status < (facts.client() ? 400 : 500)) return;
    out.status = StatusCode::error;
    out.error_type = std::to_string(status);
}

void set_sizes(const remora_exchange& exchange, bool answered, Description& out) {
    if (exchange.request_body_bytes != 0)
        out.set("http.request.body.size", static_cast<int64_t>(exchange.request_body_bytes));
    if (answered)
        out.set("http.response.body.size", static_cast<int64_t>(exchange.response_body_bytes));
}

}  // namespace

void describe(const ExchangeView& view, Description& out) {
    Facts facts{view.exchange, read_request(view.request), {}, {}};
    facts.target = parse_target(facts.head.method, facts.head.target);
    out.attributes.reserve(16);  // with what the span builder adds, one allocation
    set_method(facts, out);
    if (facts.client()) {
        describe_client(facts, out);
    } else {
        facts.origin = origin_of(facts.head);
        describe_server(facts, out);
    }
    set_text(out, "network.protocol.version", facts.head.version);
    const int status = read_status(view.response);
    set_result(facts, status, out);
    set_sizes(view.exchange, status != 0, out);
    describe_fields(view, out);
}

}  // namespace remora::protocol::http
