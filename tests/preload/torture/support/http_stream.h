// SPDX-License-Identifier: Apache-2.0
// Random streams of HTTP/1 requests and their responses, well-formed and odd, with what may and
// must happen to each head. The same seed makes the same stream.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/preload/torture/support/random.h"

namespace torture {

// Trace lines that a request brings along.
enum class OwnTrace {
    none,
    valid,         // one good traceparent
    valid_future,  // of a higher version, with more fields
    invalid,       // malformed, or several
    orphan_state,  // tracestate alone
};

struct Response {
    std::string bytes;  // interim ones in front
    size_t interim_size = 0;
    int status = 200;
    size_t content = 0;  // bytes of content, without framing
    bool until_close = false;
};

struct Request {
    std::string method;
    std::string path;  // unique in a test
    std::string head;  // to the end of the blank line
    std::string body;  // as on the wire: chunk lines, trailers
    size_t content = 0;
    std::vector<std::pair<size_t, size_t>>
        content_at;    // where content stands in `body`: [begin, end)
    bool old = false;  // HTTP/1.0
    OwnTrace own = OwnTrace::none;
    std::string own_trace_id;  // of a valid one
    std::string own_span_id;
    std::string own_flags;
    std::string own_state;      // the list, combined; empty: none, or none that counts
    bool state_is_bad = false;  // a list that breaks the rules beside a valid traceparent
    bool odd = false;           // nobody may change it
    bool near_limit = false;    // nobody may make it longer
    Response response;
};

struct Stream {
    std::vector<Request> requests;
    bool tunnel = false;  // the last request makes a tunnel of the connection
    std::string tail;     // after everything: tunnel bytes, noise
    bool is_http = true;  // false: only the tail, which is no HTTP/1
};

struct StreamOptions {
    std::string prefix;  // of the paths
    unsigned max_requests = 8;
    size_t max_body = 200'000;
    size_t max_head = 65'536;
    bool pipelined = false;  // requests don't wait for their answers
    bool bare = false;       // nothing but request line and host: lines of ours are half of it
    bool own_traces = true;
    bool odd = true;  // heads that must be left alone, tunnels, noise
};

// Does its own, valid traceparent say so?
inline bool sampled(const Request& request) { return (request.own_flags.back() & 1) != 0; }

Stream make_stream(Random& random, const StreamOptions& options);

// Lines that begin so, in any case, taken out of a head.
std::string without_lines(const std::string& head, std::initializer_list<const char*> beginnings);
// The values of one field, in order.
std::vector<std::string> values_of(const std::string& head, const std::string& name);
// Does the shim keep away from a head of this size and number of fields, for `extra` bytes more?
bool near_limit(size_t head_size, size_t fields, size_t extra);

}  // namespace torture
