// SPDX-License-Identifier: Apache-2.0
#include "agent/view/trace_view.h"

#include <algorithm>

#include "agent/base/utf8.h"
#include "agent/export/span_format.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

constexpr size_t text_limit = 160;  // bytes kept of a text: more than a terminal shows

std::string kept(std::string_view text) { return std::string(clip_utf8(text, text_limit)); }

// The first of these attributes that the span has, as text.
template <size_t N>
std::string first_of(const Span& span, const char* const (&keys)[N]) {
    for (const char* key : keys)
        if (const Attribute* found = find_attribute(span.attributes, key))
            return kept(value_text(found->value));
    return {};
}

// "http://host:8080/a/b?c" -> "/a/b": the same column for both sides of a call.
std::string path_of_url(std::string_view url) {
    const size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) return kept(url);
    const size_t begin = url.find_first_of("/?#", scheme + 3);
    if (begin == std::string_view::npos || url[begin] != '/') return "/";
    return kept(url.substr(begin, url.find_first_of("?#", begin) - begin));
}

// Of a connection that did not come about: to whom.
std::string peer_of(const Span& span) {
    constexpr const char* hosts[] = {"server.address"};
    constexpr const char* ports[] = {"server.port"};
    const std::string host = first_of(span, hosts), port = first_of(span, ports);
    return host.empty() || port.empty() ? host : host + ":" + port;
}

std::string target_of(const Span& span) {
    constexpr const char* paths[] = {"url.path"};
    constexpr const char* urls[] = {"url.full"};
    constexpr const char* others[] = {"db.collection.name", "db.namespace",
                                      "messaging.destination.name"};
    std::string target = first_of(span, paths);
    if (!target.empty()) return target;
    if (span.kind == SpanKind::client && span.name == "connect") return peer_of(span);
    const std::string url = first_of(span, urls);
    return url.empty() ? first_of(span, others) : path_of_url(url);
}

uint64_t duration_of(const SpanEvent& event) {
    const Attribute* found = find_attribute(event.attributes, "duration");
    const double* seconds = found == nullptr ? nullptr : std::get_if<double>(&found->value);
    return seconds == nullptr || !(*seconds > 0) || *seconds > 1e6
               ? 0
               : static_cast<uint64_t>(*seconds * 1e9);
}

// "dns 412 ms, connect 3.00 ms, tls 8.00 ms, first byte 40.0 ms": how long each took, and how long
// the answer from there on. Worth a line where the connection took a tenth of the time, or an
// attempt failed.
std::string steps_of(const Span& span) {
    constexpr uint64_t least_ns = 1'000'000;
    constexpr std::pair<const char*, const char*> names[] = {
        {"dns", "dns"}, {"connect", "connect"}, {"tls.handshake", "tls"}};
    std::string text;
    uint64_t opening_ns = 0, before = span.start_unix_ns;
    bool failed = false;
    const auto add = [&text](const std::string& step) {
        text += (text.empty() ? "" : ", ") + step;
    };
    for (const SpanEvent& event : span.events) {
        const uint64_t took = duration_of(event);
        if (event.name == "connect.failed") {
            const Attribute* error = find_attribute(event.attributes, "error.type");
            add((error == nullptr ? "failed" : kept(value_text(error->value))) + " after " +
                duration_text(took));
            failed = true;
        } else if (event.name == "first_byte" && !text.empty() && event.time_unix_ns >= before) {
            add("first byte " + duration_text(event.time_unix_ns - before));
            continue;
        }
        for (const auto& [name, shown] : names)
            if (event.name == name) {
                add(std::string(shown) + " " + duration_text(took));
                opening_ns += took;
            }
        before = std::max(before, event.time_unix_ns);
    }
    const uint64_t whole = span.end_unix_ns - std::min(span.start_unix_ns, span.end_unix_ns);
    const bool notable = opening_ns >= least_ns && opening_ns >= whole / 10;
    return failed || notable ? text : std::string();
}

std::string outcome_of(const Span& span) {
    constexpr const char* codes[] = {"http.response.status_code", "db.response.status_code",
                                     "rpc.status_code"};
    constexpr const char* exits[] = {"process.exit.code"};
    constexpr const char* others[] = {"error.type", "remora.end"};
    std::string outcome = first_of(span, codes);
    if (!outcome.empty()) return outcome;
    outcome = first_of(span, exits);
    return outcome.empty() ? first_of(span, others) : "exit " + outcome;
}

}  // namespace

ViewSpan view_span(const Span& span) {
    ViewSpan view;
    view.id = span.span_id;
    view.parent = span.parent_id;
    view.kind = span.kind;
    view.error = span.status == StatusCode::error;
    view.parent_is_remote = span.parent_is_remote;
    const Attribute* join = find_attribute(span.attributes, "remora.join");
    view.parent_is_process = join != nullptr && value_text(join->value) == "process";
    view.start_unix_ns = span.start_unix_ns;
    view.end_unix_ns = std::max(span.start_unix_ns, span.end_unix_ns);
    const std::string* service = span.resource ? span.resource->text("service.name") : nullptr;
    view.service = kept(service == nullptr ? "unknown" : *service);
    view.name = kept(span.name);
    view.target = target_of(span);
    view.outcome = outcome_of(span);
    if (span.kind == SpanKind::client) view.steps = steps_of(span);
    return view;
}

void TraceView::add(const Span& span) {
    const bool first = span_count() == 0;
    start_unix_ns = first ? span.start_unix_ns : std::min(start_unix_ns, span.start_unix_ns);
    end_unix_ns = std::max({end_unix_ns, span.start_unix_ns, span.end_unix_ns});
    if (span.status == StatusCode::error) ++errors;
    if (first) id = span.trace_id;
    // A root comes last, when all below it has ended: there is always some room for one.
    const bool root = !span.parent_id.valid() || span.kind == SpanKind::internal;
    const size_t limit = root ? spans_limit + 64 : spans_limit;
    if (spans.size() < limit)
        spans.push_back(view_span(span));
    else
        ++spans_not_kept;
}

}  // namespace remora
