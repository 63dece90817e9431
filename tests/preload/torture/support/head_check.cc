// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/head_check.h"

namespace torture {
namespace {

constexpr size_t value_size = 55;

size_t blank_line_of(const std::string& head) {
    return head.size() >= 2 && head[head.size() - 2] == '\r' ? head.size() - 2 : head.size() - 1;
}

// "traceparent: 00-...-01\r\n", maybe followed by a tracestate line, and nothing else.
bool read_inserted(const std::string& text, HeadVerdict& out) {
    static const std::string name = "traceparent: 00-";
    if (text.size() < name.size() + value_size - 3 + 2 || text.compare(0, name.size(), name) != 0)
        return false;
    const std::string value = text.substr(13, value_size);
    if (value.find_first_not_of("0123456789abcdef-") != std::string::npos) return false;
    if (value[35] != '-' || value[52] != '-' || text.compare(13 + value_size, 2, "\r\n") != 0)
        return false;
    out.trace_id = value.substr(3, 32);
    out.span_id = value.substr(36, 16);
    out.flags = value.substr(53, 2);
    const std::string rest = text.substr(13 + value_size + 2);
    if (rest.empty()) return true;
    return rest.rfind("tracestate: ", 0) == 0 && rest.find('\n') == rest.size() - 1;
}

HeadVerdict wrong(const std::string& why, const std::string& sent, const std::string& seen) {
    HeadVerdict out;
    size_t same = 0;
    while (same < sent.size() && same < seen.size() && sent[same] == seen[same]) ++same;
    const size_t from = same > 400 ? same - 400 : 0;
    out.explanation = why + "; from byte " + std::to_string(from) + ", " + std::to_string(same) +
                      " are the same\n--- sent:\n" + sent.substr(from, 1500) + "\n--- seen:\n" +
                      seen.substr(from, 1500);
    return out;
}

// The value of the one traceparent line gave way to another.
HeadVerdict check_replaced(const Request& request, const std::string& seen) {
    const std::string& sent = request.head;
    const std::string old_value = values_of(sent, "traceparent").at(0);
    const auto new_values = values_of(seen, "traceparent");
    HeadVerdict out;
    if (new_values.size() != 1 || !read_inserted("traceparent: " + new_values[0] + "\r\n", out))
        return wrong("not one traceparent", sent, seen);
    std::string expected = sent;
    expected.replace(expected.find(old_value), old_value.size(), new_values[0]);
    if (expected != seen && request.state_is_bad) {  // a list that breaks the rules is dropped
        expected = without_lines(expected, {"tracestate:"});
    }
    if (expected != seen) return wrong("more than the value has changed", sent, seen);
    if (out.trace_id != request.own_trace_id) return wrong("another trace", sent, seen);
    out.what = HeadVerdict::What::replaced;
    return out;
}

}  // namespace

HeadVerdict check_head(const Request& request, const std::string& seen, bool may_replace) {
    const std::string& sent = request.head;
    HeadVerdict out;
    if (seen == sent) {
        out.what = HeadVerdict::What::untouched;
        return out;
    }
    if (request.odd) return wrong("a head that must be left alone was changed", sent, seen);
    if (request.own == OwnTrace::valid || request.own == OwnTrace::valid_future) {
        if (!may_replace) return wrong("a valid foreign traceparent was changed", sent, seen);
        return check_replaced(request, seen);
    }
    if (request.near_limit) return wrong("a head near a limit was made longer", sent, seen);
    const std::string kept = without_lines(sent, {"traceparent:", "tracestate:"});
    const size_t blank_line = blank_line_of(kept);
    const size_t tail = kept.size() - blank_line;
    if (seen.size() <= kept.size() || seen.compare(0, blank_line, kept, 0, blank_line) != 0 ||
        seen.compare(seen.size() - tail, tail, kept, blank_line, tail) != 0)
        return wrong("not the program's bytes with a line inserted", sent, seen);
    if (!read_inserted(seen.substr(blank_line, seen.size() - tail - blank_line), out))
        return wrong("what was inserted is no traceparent line", sent, seen);
    out.what = HeadVerdict::What::inserted;
    return out;
}

size_t head_size_at(const std::string& bytes, size_t at) {
    size_t begin = at;
    while (begin < bytes.size() && (bytes[begin] == '\r' || bytes[begin] == '\n')) ++begin;
    for (size_t lf = bytes.find('\n', begin); lf != std::string::npos;
         lf = bytes.find('\n', lf + 1)) {
        size_t next = lf + 1;
        if (next < bytes.size() && bytes[next] == '\r') ++next;
        if (next < bytes.size() && bytes[next] == '\n') return next + 1 - at;
    }
    return 0;
}

}  // namespace torture
