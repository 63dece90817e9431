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

std::string target_of(const Span& span) {
    constexpr const char* paths[] = {"url.path"};
    constexpr const char* urls[] = {"url.full"};
    constexpr const char* others[] = {"db.collection.name", "db.namespace",
                                      "messaging.destination.name"};
    std::string target = first_of(span, paths);
    if (!target.empty()) return target;
    const std::string url = first_of(span, urls);
    return url.empty() ? first_of(span, others) : path_of_url(url);
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
