// SPDX-License-Identifier: Apache-2.0
#include "agent/view/waterfall.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "agent/base/printable.h"
#include "agent/export/span_format.h"
#include "agent/view/span_tree.h"

namespace remora {
namespace {

struct Glyphs {
    const char *through, *branch, *last, *empty;  // of the tree, three columns each
    const char* calls;                            // in front of a client span's name
    const char* orphan;
    const char* failed;
    const char* dot;   // between parts of a header
    const char* busy;  // a cell of a bar
    const char* waiting;
    const char* more;
};
constexpr Glyphs unicode_glyphs = {"│  ", "├─ ", "└─ ", "   ", "→ ", "⇡ ",
                                   "✗",   " · ", "█",   "━",   "…"};
constexpr Glyphs ascii_glyphs = {"|  ", "|- ", "`- ", "   ", "-> ", "^ ",
                                 "!",   "  ",  "#",   "=",   "..."};

constexpr size_t indent_limit = 12;  // levels that are drawn; deeper ones stay at that depth
constexpr size_t outcome_limit = 14;
constexpr size_t least_bar = 16;

// A row's texts, printable, before they are fitted into columns.
struct Row {
    std::string tree, service, name, target, outcome, duration;
    std::string below;  // of the tree, in front of a second line
    const ViewSpan* span;

    [[nodiscard]] size_t label_width() const {
        return display_width(tree) + display_width(service) + 1 + display_width(name) +
               (target.empty() ? 0 : 1 + display_width(target));
    }
};

struct Columns {
    size_t label = 0, outcome = 0, duration = 0, bar = 0;
};

class TraceRenderer {
public:
    TraceRenderer(const TraceView& trace, const TerminalStyle& style)
        : trace_(trace), style_(style), glyphs_(style.unicode ? unicode_glyphs : ascii_glyphs) {}

    std::string render() {
        size_t orphans = 0;
        std::vector<Row> rows;
        for (const TreeRow& row : span_tree(trace_)) {
            rows.push_back(make_row(row));
            if (row.orphan) ++orphans;
        }
        fit_columns(rows);
        std::string out = header() + '\n';
        for (const Row& row : rows) {
            out += line(row) + '\n';
            if (!row.span->steps.empty()) out += steps(row) + '\n';
        }
        return out + notes(orphans);
    }

private:
    std::string text(std::string_view untrusted) const {
        return printable(untrusted, style_.unicode);
    }

    Row make_row(const TreeRow& tree) const {
        const ViewSpan& span = *tree.span;
        const bool calls = span.kind == SpanKind::client || span.kind == SpanKind::producer;
        Row row;
        row.span = &span;
        row.tree = tree_text(tree, false);
        row.below = tree_text(tree, true);
        // A process span is often called as its service is: once is enough.
        row.service = span.service == span.name ? std::string() : text(span.service);
        row.name = (calls ? glyphs_.calls : "") + text(span.name);
        row.target = text(span.target);
        // A name with a route looks like a path itself.
        if (!row.target.empty() && row.name.find('/') != std::string::npos)
            row.target = "(" + row.target + ")";
        row.outcome = clip_columns(text(span.outcome), outcome_limit, style_.unicode);
        if (span.error)
            row.outcome += (row.outcome.empty() ? "" : " ") + std::string(glyphs_.failed);
        row.duration = duration_text(span.end_unix_ns - span.start_unix_ns);
        return row;
    }

    // below: of a second line of the same row, past which the branches go on.
    std::string tree_text(const TreeRow& tree, bool below) const {
        std::string out;
        const size_t levels = tree.more_after.size();
        for (size_t i = levels > indent_limit ? levels - indent_limit : 0; i < levels; ++i) {
            const bool own = i + 1 == levels && !below;
            if (tree.more_after[i])
                out += own ? glyphs_.branch : glyphs_.through;
            else
                out += own ? glyphs_.last : glyphs_.empty;
        }
        return tree.orphan && !below ? out + glyphs_.orphan : out;
    }

    std::string steps(const Row& row) const {
        const std::string whole = row.below + glyphs_.empty + text(row.span->steps);
        return painted(clip_columns(whole, style_.width, style_.unicode), Paint::dim, style_);
    }

    // Labels get what they need, but leave the bars two fifths of the line.
    void fit_columns(const std::vector<Row>& rows) {
        for (const Row& row : rows) {
            columns_.label = std::max(columns_.label, row.label_width());
            columns_.outcome = std::max(columns_.outcome, display_width(row.outcome));
            columns_.duration = std::max(columns_.duration, display_width(row.duration));
        }
        if (columns_.outcome > 0) columns_.outcome += 2;
        const size_t fixed = columns_.outcome + columns_.duration + 4;  // with gaps of two
        const size_t room = style_.width > fixed + least_bar ? style_.width - fixed : least_bar * 2;
        columns_.label = std::min(columns_.label, room - std::max(least_bar, room * 2 / 5));
        columns_.bar = room - columns_.label;
    }

    std::string line(const Row& row) const {
        std::string out = label(row) + "  ";
        const Paint paint = row.span->error ? Paint::failure : Paint::plain;
        out += painted(row.outcome, paint, style_) +
               spaces(columns_.outcome - display_width(row.outcome));
        out += spaces(columns_.duration - display_width(row.duration)) + row.duration + "  ";
        return out + bar(*row.span);
    }

    // Clipped from the right, part by part: first the path goes, then the name.
    std::string label(const Row& row) const {
        size_t left = columns_.label;
        std::string out;
        auto part = [&](const std::string& piece, auto paint) {
            const std::string clipped = clip_columns(piece, left, style_.unicode);
            left -= display_width(clipped);
            out += paint(clipped);
        };
        part(row.tree, [&](auto& s) { return painted(s, Paint::dim, style_); });
        part(row.service, [&](auto& s) { return painted_for(s, row.span->service, style_); });
        part((row.service.empty() ? "" : " ") + row.name,
             [&](auto& s) { return painted(s, Paint::bold, style_); });
        if (!row.target.empty())
            part(" " + row.target, [&](auto& s) { return painted(s, Paint::dim, style_); });
        return out + spaces(left);
    }

    // At least one cell, never beyond the last.
    std::string bar(const ViewSpan& span) const {
        const double whole = std::max<double>(1, static_cast<double>(trace_.duration_ns()));
        const auto cells = static_cast<double>(columns_.bar);
        auto cell = [&](uint64_t time) {
            return static_cast<double>(time - trace_.start_unix_ns) / whole * cells;
        };
        const size_t first =
            std::min(columns_.bar - 1, static_cast<size_t>(cell(span.start_unix_ns)));
        const auto end = static_cast<size_t>(cell(span.end_unix_ns) + 0.5);
        const size_t count =
            std::clamp<size_t>(end > first ? end - first : 1, 1, columns_.bar - first);
        const bool waits = span.kind == SpanKind::client;
        std::string drawn;
        for (size_t i = 0; i < count; ++i) drawn += waits ? glyphs_.waiting : glyphs_.busy;
        return spaces(first) + (span.error ? painted(drawn, Paint::failure, style_)
                                           : painted_for(drawn, span.service, style_));
    }

    std::string header() const {
        const std::string id = id_text(trace_.id);
        const size_t count = trace_.span_count();
        const std::string facts = glyphs_.dot + duration_text(trace_.duration_ns()) + glyphs_.dot +
                                  fmt::format("{} span{}", count, count == 1 ? "" : "s") +
                                  glyphs_.dot;
        const std::string errors = trace_.errors == 0 ? ""
                                                      : fmt::format("{} error{}", trace_.errors,
                                                                    trace_.errors == 1 ? "" : "s");
        const size_t used = 6 + id.size() + display_width(facts) +
                            (errors.empty() ? 0 : display_width(glyphs_.dot) + errors.size());
        std::string out = painted("trace", Paint::dim, style_) + ' ' +
                          painted(id, Paint::bold, style_) + facts +
                          services(style_.width > used ? style_.width - used : 0);
        if (!errors.empty()) out += glyphs_.dot + painted(errors, Paint::failure, style_);
        return out;
    }

    // In order of their first span, as many as there is room for.
    std::string services(size_t room) const {
        std::vector<const ViewSpan*> by_start;
        for (const ViewSpan& span : trace_.spans) by_start.push_back(&span);
        std::stable_sort(by_start.begin(), by_start.end(),
                         [](auto* a, auto* b) { return a->start_unix_ns < b->start_unix_ns; });
        std::set<std::string_view> seen;
        std::string out;
        for (const ViewSpan* span : by_start) {
            if (room == 0 || !seen.insert(span->service).second) continue;
            const std::string comma = seen.size() > 1 ? ", " : "";
            const std::string name =
                clip_columns(comma + text(span->service), room, style_.unicode);
            room -= display_width(name);
            out += painted_for(name, span->service, style_);
        }
        return out;
    }

    std::string notes(size_t orphans) const {
        std::string out;
        if (orphans > 0)
            out += painted(glyphs_.orphan + std::string("its parent is not among these spans"),
                           Paint::dim, style_) +
                   '\n';
        if (trace_.spans_not_kept > 0)
            out += painted(fmt::format("{} {} more spans of this trace are not shown", glyphs_.more,
                                       trace_.spans_not_kept),
                           Paint::dim, style_) +
                   '\n';
        return out;
    }

    static std::string spaces(size_t count) { return std::string(count, ' '); }

    const TraceView& trace_;
    const TerminalStyle& style_;
    const Glyphs& glyphs_;
    Columns columns_;
};

std::string rest_line(const TraceTotals& rest, const TerminalStyle& style) {
    const Glyphs& glyphs = style.unicode ? unicode_glyphs : ascii_glyphs;
    std::string line = fmt::format("{} and {} more trace{} with {} span{}: slowest {} ({})",
                                   glyphs.more, rest.traces, rest.traces == 1 ? "" : "s",
                                   rest.spans, rest.spans == 1 ? "" : "s",
                                   duration_text(rest.slowest_ns), id_text(rest.slowest));
    line += rest.with_errors == 0 ? ", none with errors"
                                  : ", " + painted(fmt::format("{} with errors", rest.with_errors),
                                                   Paint::failure, style);
    return line + '\n';
}

}  // namespace

std::string render_trace(const TraceView& trace, const TerminalStyle& style) {
    return TraceRenderer(trace, style).render();
}

std::string render_waterfall(const TraceStore::Content& content, const TerminalStyle& style,
                             size_t most) {
    std::string out;
    const size_t shown = std::min(most, content.traces.size());
    for (size_t i = 0; i < shown; ++i)
        out += (i > 0 ? "\n" : "") + render_trace(content.traces[i], style);
    TraceTotals rest = content.gone;
    for (size_t i = shown; i < content.traces.size(); ++i) rest.add(content.traces[i]);
    if (rest.traces > 0) out += '\n' + rest_line(rest, style);
    return out;
}

}  // namespace remora
