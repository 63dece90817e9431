// SPDX-License-Identifier: Apache-2.0
#include "agent/view/span_tree.h"

#include <algorithm>
#include <unordered_map>

namespace remora {
namespace {

constexpr size_t nobody = ~size_t{0};

class TreeBuilder {
public:
    explicit TreeBuilder(const TraceView& trace) : spans_(trace.spans), children_(spans_.size()) {
        by_start_.resize(spans_.size());
        for (size_t i = 0; i < spans_.size(); ++i) {
            by_start_[i] = i;
            index_.emplace(spans_[i].id.key(), i);  // of doubles the first one has the children
        }
        // Ties go to what ends later: a parent often starts in the same microsecond.
        std::stable_sort(by_start_.begin(), by_start_.end(), [&](size_t a, size_t b) {
            if (spans_[a].start_unix_ns != spans_[b].start_unix_ns)
                return spans_[a].start_unix_ns < spans_[b].start_unix_ns;
            return spans_[a].end_unix_ns > spans_[b].end_unix_ns;
        });
    }

    std::vector<TreeRow> rows() {
        std::vector<size_t> roots;
        for (const size_t i : by_start_) {
            const size_t parent = parent_of(i);
            if (parent == nobody)
                roots.push_back(i);
            else
                children_[parent].push_back(i);
        }
        shown_.assign(spans_.size(), false);
        for (const size_t root : roots) show(root);
        // What is left hangs in a cycle of parents: cut it open at its earliest span.
        for (const size_t i : by_start_)
            if (!shown_[i]) show(i);
        return std::move(rows_);
    }

private:
    size_t parent_of(size_t i) const {
        if (!spans_[i].parent.valid()) return nobody;
        const auto found = index_.find(spans_[i].parent.key());
        return found == index_.end() || found->second == i ? nobody : found->second;
    }

    // Depth first with a stack of its own: a hostile chain is as deep as the trace is long.
    void show(size_t root) {
        struct Pending {
            size_t span;
            std::vector<bool> more_after;
        };
        std::vector<Pending> stack;
        stack.push_back({root, {}});
        while (!stack.empty()) {
            Pending next = std::move(stack.back());
            stack.pop_back();
            if (shown_[next.span]) continue;
            shown_[next.span] = true;
            const auto& children = children_[next.span];
            for (size_t i = children.size(); i-- > 0;) {
                std::vector<bool> more_after = next.more_after;
                more_after.push_back(i + 1 < children.size());
                stack.push_back({children[i], std::move(more_after)});
            }
            const ViewSpan& span = spans_[next.span];
            rows_.push_back({&span, next.more_after.empty() && span.parent.valid(),
                             std::move(next.more_after)});
        }
    }

    const std::vector<ViewSpan>& spans_;
    std::vector<size_t> by_start_;
    std::unordered_map<uint64_t, size_t> index_;
    std::vector<std::vector<size_t>> children_;
    std::vector<bool> shown_;
    std::vector<TreeRow> rows_;
};

}  // namespace

std::vector<TreeRow> span_tree(const TraceView& trace) { return TreeBuilder(trace).rows(); }

}  // namespace remora
