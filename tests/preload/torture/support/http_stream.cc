// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/http_stream.h"

#include <strings.h>

#include <cstring>

namespace torture {
namespace {

constexpr const char* body_noise =
    "\r\n\r\nGET /noise HTTP/1.1\r\nHost: n\r\ntraceparent: "
    "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n\r\n0\r\n\r\nHTTP/1.1 200 "
    "OK\r\n\r\n";

// Content that looks like heads, chunk ends and trace fields.
std::string make_content(Random& random, size_t size) {
    std::string out;
    out.reserve(size + 256);
    while (out.size() < size) {
        if (random.chance(40))
            out += body_noise;
        else
            out += random.text(1 + random.skewed(400), "abc\r\n:, 0HTTP/1.\t", 17);
    }
    out.resize(size);
    return out;
}

std::string chunk_size_line(Random& random, size_t size) {
    char digits[32];
    snprintf(digits, sizeof(digits), random.chance(50) ? "%zx" : "%zX", size);
    std::string line(random.below(3), '0');
    line += digits;
    if (random.chance(20)) line += ";name=value;quoted=\"a b\"";
    if (random.chance(10)) line += " ; x";
    return line + "\r\n";
}

using Ranges = std::vector<std::pair<size_t, size_t>>;

std::string chunked(Random& random, const std::string& content, Ranges* content_at = nullptr) {
    std::string out;
    for (size_t at = 0; at < content.size();) {
        const size_t size = 1 + random.below(content.size() - at);
        out += chunk_size_line(random, size);
        if (content_at != nullptr) content_at->push_back({out.size(), out.size() + size});
        out += content.substr(at, size) + "\r\n";
        at += size;
    }
    out += std::string(1 + random.below(2), '0') + "\r\n";
    if (random.chance(30)) out += "X-Trailer: one\r\nTrace-Like: traceparent\r\n";
    if (random.chance(10))
        out += "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n";
    return out + "\r\n";
}

struct HeadMaker {
    Random& random;
    const StreamOptions& options;
    Request& request;
    bool bare_lf;
    std::vector<std::string> lines{};  // without line ends

    std::string spelled(const char* name) {
        std::string out = name;
        if (random.chance(50)) return out;
        for (char& c : out)
            if (random.chance(50)) c = static_cast<char>(toupper(c));
        return out;
    }
    void field(const char* name, const std::string& value) {
        const char* blank = random.pick({": ", ":", ":  ", ":\t"});
        lines.push_back(spelled(name) + blank + value + random.pick({"", "", "", " ", " \t"}));
    }
    void anywhere(const std::string& line) {
        lines.insert(lines.begin() + static_cast<ptrdiff_t>(random.below(lines.size() + 1)), line);
    }

    std::string valid_traceparent(const char* version) {
        request.own_trace_id = random.hex(31) + "1";
        request.own_span_id = random.hex(15) + "1";
        request.own_flags = random.pick({"00", "01", "02", "03"});
        return std::string(version) + "-" + request.own_trace_id + "-" + request.own_span_id + "-" +
               request.own_flags;
    }

    void good_state() {
        const unsigned members = 1 + static_cast<unsigned>(random.below(4));
        for (unsigned i = 0; i < members; ++i) {
            if (i > 0) request.own_state += ",";
            request.own_state += "k" + std::to_string(i) + "=" + random.word(1 + random.below(20));
        }
        const size_t comma = request.own_state.find(',');
        if (comma == std::string::npos || random.chance(50)) {
            field("tracestate", request.own_state);
        } else {  // one list over two lines
            field("tracestate", request.own_state.substr(0, comma));
            field("tracestate", request.own_state.substr(comma + 1));
        }
    }

    void bad_state() {
        request.state_is_bad = true;
        field("tracestate", random.pick({"UPPER=1", "a=1,a=2", "noequals", "a=b=c"}));
    }

    void invalid_traceparent() {
        const std::string good = "00-" + random.hex(31) + "1-" + random.hex(15) + "1-01";
        std::string upper = good;
        upper[4] = 'A';
        switch (random.below(7)) {
            case 0: return field("traceparent", "");
            case 1: return field("traceparent", good.substr(0, random.below(54)));
            case 2: return field("traceparent", upper);
            case 3: return field("traceparent", good + "-00");
            case 4: return field("traceparent", "ff" + good.substr(2));
            case 5: return field("traceparent", "00-" + std::string(32, '0') + good.substr(35));
            default: field("traceparent", good); return field("traceparent", good);
        }
    }

    void own_trace() {
        if (!options.own_traces || random.chance(60)) return;
        switch (random.below(8)) {
            case 0:
            case 1:
            case 2:
                request.own = OwnTrace::valid;
                field("traceparent", valid_traceparent("00"));
                break;
            case 3:
                request.own = OwnTrace::valid_future;
                field("traceparent",
                      valid_traceparent("cc") + random.pick({"", "-what-the-future"}));
                break;
            case 4:
                request.own = OwnTrace::orphan_state;
                field("tracestate", "a=1,b=2");
                return;
            default:
                request.own = OwnTrace::invalid;
                invalid_traceparent();
                if (random.chance(30)) field("tracestate", "a=1");
                return;
        }
        if (random.chance(40))
            good_state();
        else if (random.chance(15))
            bad_state();
    }

    // Heads that nobody may change, but that can be followed.
    void oddities() {
        if (!options.odd || random.chance(92)) return;
        request.odd = true;
        switch (random.below(5)) {
            case 0: return anywhere("X-Folded: one\r\n two");
            case 1: return anywhere("X-Blank : value");
            case 2: return anywhere("Authorization: AWS4-HMAC-SHA256 Credential=a, Signature=b");
            case 3: return anywhere("Signature-Input: sig=()");
            default: return anywhere("Signature: sig=:a:");
        }
    }

    void fill() {
        const unsigned count = static_cast<unsigned>(random.skewed(12));
        for (unsigned i = 0; i < count; ++i)
            field(("x-" + random.word(1 + random.below(12))).c_str(),
                  random.word(random.skewed(60)));
        if (random.chance(4))  // near the limit of fields
            for (size_t n = random.between(60, 110); n > 0; --n) field("f", "v");
        if (random.chance(6)) {  // near a limit of size, or beyond several
            const size_t aim =
                random.pick<size_t>({4096, 8192, 16384, 32768, 65536}) - random.below(600);
            if (aim < options.max_head - 1024) field("x-filler", random.word(aim));
        }
    }

    std::string finish(const std::string& request_line) {
        const char* end = bare_lf ? "\n" : "\r\n";
        std::string out = request_line + end;
        for (const std::string& line : lines) out += line + end;
        return out + end;
    }
};

void make_response(Random& random, Request& request, bool last, bool expects) {
    Response& response = request.response;
    if (expects || random.chance(5)) {
        response.bytes = expects ? "HTTP/1.1 100 Continue\r\n\r\n"
                                 : "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        response.interim_size = response.bytes.size();
    }
    response.status = random.pick({200, 200, 200, 201, 204, 304, 404, 500});
    response.bytes +=
        "HTTP/1.1 " + std::to_string(response.status) + " Some Reason\r\nServer: peer\r\n";
    const bool no_body =
        response.status == 204 || response.status == 304 || request.method == "HEAD";
    std::string content;
    if (!no_body)
        content =
            make_content(random, random.chance(85) ? random.skewed(3000) : random.skewed(100'000));
    response.content = content.size();
    if (no_body) {
        if (request.method == "HEAD") response.bytes += "Content-Length: 1234\r\n";
        response.bytes += "\r\n";
    } else if (last && random.chance(40)) {
        response.until_close = true;
        response.bytes += "Connection: close\r\n\r\n" + content;
    } else if (random.chance(40)) {
        response.bytes += "Transfer-Encoding: chunked\r\n\r\n" + chunked(random, content);
    } else {
        response.bytes +=
            "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n" + content;
    }
}

// The body's framing goes into the head.
void make_body(Random& random, const StreamOptions& options, HeadMaker& head) {
    Request& request = head.request;
    if (request.method != "POST" && request.method != "PUT" && random.chance(95)) return;
    const size_t size = random.chance(80) ? random.skewed(4000) : random.skewed(options.max_body);
    const std::string content = make_content(random, std::min(size, options.max_body));
    request.content = content.size();
    if (random.chance(40) && !request.old) {
        head.field("transfer-encoding", "chunked");
        request.body = chunked(random, content, &request.content_at);
    } else {
        head.field("content-length", std::to_string(content.size()));
        request.body = content;
        request.content_at.push_back({0, content.size()});
    }
    if (random.chance(10)) head.field("expect", "100-continue");
}

Request make_request(Random& random, const StreamOptions& options, unsigned number) {
    Request request;
    request.method = random.pick({"GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"});
    request.path = options.prefix + "/r" + std::to_string(number);
    request.old = random.chance(8);
    HeadMaker head{random, options, request, random.chance(8)};
    head.field("host", "service.example");
    if (!options.bare) {
        head.fill();
        head.own_trace();
        make_body(random, options, head);
        head.oddities();
    }
    const std::string target =
        random.chance(5) ? "http://service.example" + request.path : request.path;
    request.head =
        head.finish(request.method + " " + target + (request.old ? " HTTP/1.0" : " HTTP/1.1"));
    const size_t blank_line = head.bare_lf ? 1 : 2;
    request.near_limit = near_limit(request.head.size() - blank_line, head.lines.size(), 70);
    // Empty lines before a request line are passed over (RFC 9112, 2.2).
    if (number > 0 && random.chance(3)) request.head = "\r\n" + request.head;
    return request;
}

// A last request after which the connection is no HTTP any more.
void add_tunnel(Random& random, const StreamOptions& options, Stream& stream, bool accepted) {
    Request request;
    const bool connect = random.chance(40);
    request.method = connect ? "CONNECT" : "GET";
    request.path = options.prefix + "/r" + std::to_string(stream.requests.size());
    const std::string target = connect ? "tunnel.example:443" : request.path;
    request.head = request.method + " " + target + " HTTP/1.1\r\nHost: service.example\r\n";
    if (!connect) request.head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    request.head += "\r\n";
    if (connect) request.path = "";
    Response& response = request.response;
    response.status = connect ? 200 : 101;
    response.bytes = connect ? "HTTP/1.1 200 Connection established\r\n\r\n"
                             : "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    if (!accepted) {
        response.status = 403;
        response.bytes = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
        response.content = 2;
    }
    stream.tunnel = accepted;
    if (accepted) stream.tail = make_content(random, 1 + random.skewed(20'000));
    stream.requests.push_back(request);
}

}  // namespace

bool near_limit(size_t head_size, size_t fields, size_t extra) {
    if (fields + 1 > 90) return true;
    const size_t before = head_size + 2;
    for (const size_t limit : {4096, 8192, 16384, 32768, 65536})
        if (before <= limit && before + extra > limit - 256) return true;
    return false;
}

std::string without_lines(const std::string& head, std::initializer_list<const char*> beginnings) {
    std::string out;
    for (size_t at = 0; at < head.size();) {
        size_t end = head.find('\n', at);
        end = end == std::string::npos ? head.size() : end + 1;
        bool keep = true;
        for (const char* beginning : beginnings)
            keep = keep && strncasecmp(head.c_str() + at, beginning, strlen(beginning)) != 0;
        if (keep) out.append(head, at, end - at);
        at = end;
    }
    return out;
}

std::vector<std::string> values_of(const std::string& head, const std::string& name) {
    std::vector<std::string> values;
    for (size_t at = head.find('\n') + 1; at < head.size();) {
        size_t end = head.find('\n', at);
        if (end == std::string::npos) end = head.size();
        if (strncasecmp(head.c_str() + at, (name + ":").c_str(), name.size() + 1) == 0) {
            size_t first = at + name.size() + 1, last = end;
            while (first < last && strchr(" \t", head[first])) ++first;
            while (last > first && strchr(" \t\r", head[last - 1])) --last;
            values.push_back(head.substr(first, last - first));
        }
        at = end + 1;
    }
    return values;
}

Stream make_stream(Random& random, const StreamOptions& options) {
    Stream stream;
    if (options.odd && random.chance(6)) {
        stream.is_http = false;
        stream.tail = random.pick<std::string>(
            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
             "SSH-2.0-OpenSSH_9.2p1\r\n", "*1\r\n$4\r\nPING\r\n", "GET /old\r\n",
             "get / http/1.1\r\n\r\n", "OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"});
        stream.tail += make_content(random, random.skewed(5000));
        return stream;
    }
    const unsigned count = options.bare
                               ? options.max_requests
                               : 1 + static_cast<unsigned>(random.below(options.max_requests));
    for (unsigned i = 0; i < count; ++i)
        stream.requests.push_back(make_request(random, options, i));
    const bool tunnel = options.odd && random.chance(8);
    if (tunnel) add_tunnel(random, options, stream, !options.pipelined && random.chance(70));
    for (size_t i = 0; i < stream.requests.size(); ++i) {
        Request& request = stream.requests[i];
        const bool last = i + 1 == stream.requests.size();
        if (!request.response.bytes.empty()) continue;
        make_response(random, request, last, !values_of(request.head, "expect").empty());
    }
    return stream;
}

}  // namespace torture
