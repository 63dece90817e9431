// SPDX-License-Identifier: Apache-2.0
#include "agent/context/collector.h"

namespace remora {
namespace {

constexpr bool blank(uint8_t c) { return c == ' ' || c == '\t'; }

bool only_separators(ByteView list) {
    for (size_t i = 0; i < list.size; ++i)
        if (list[i] != ',' && !blank(list[i])) return false;
    return true;
}

}  // namespace

PropagationField propagation_field(ByteView name) noexcept {
    if (name.size == 11 && equal_ignoring_case(name, "traceparent"))
        return PropagationField::traceparent;
    if (name.size == 10 && equal_ignoring_case(name, "tracestate"))
        return PropagationField::tracestate;
    return PropagationField::none;
}

void ContextCollector::start(char* tracestate_storage, size_t capacity) noexcept {
    *this = ContextCollector{};
    tracestate_ = tracestate_storage;
    if (tracestate_storage != nullptr)
        tracestate_capacity_ = static_cast<uint16_t>(capacity < 0xffff ? capacity : 0xffff);
}

void ContextCollector::add(PropagationField field, ByteView piece, bool begins,
                           bool /*ends*/) noexcept {
    if (field == PropagationField::traceparent) {
        if (begins && traceparent_lines_ < 0xff) ++traceparent_lines_;
        add_traceparent(piece);
    } else if (field == PropagationField::tracestate) {
        if (begins) begin_tracestate_line();
        add_tracestate(piece);
    }
}

// Blanks are written as they come, but count only once something follows them.
void ContextCollector::add_traceparent(ByteView piece) noexcept {
    if (traceparent_lines_ != 1) return;
    for (size_t i = 0; i < piece.size; ++i) {
        const size_t at = static_cast<size_t>(traceparent_size_) + traceparent_blanks_;
        if (blank(piece[i])) {
            if (traceparent_size_ == 0) continue;
            if (at < sizeof(traceparent_)) traceparent_[at] = piece.chars()[i];
            if (traceparent_blanks_ < 0xff) ++traceparent_blanks_;
            continue;
        }
        if (at < sizeof(traceparent_)) traceparent_[at] = piece.chars()[i];
        // Saturates: nobody asks for more than "longer than what is kept".
        traceparent_size_ = static_cast<uint16_t>(at < 0x7fff ? at + 1 : 0x7fff);
        traceparent_blanks_ = 0;
    }
}

// RFC 9110, 5.3: lines of one field combine by a comma.
void ContextCollector::begin_tracestate_line() noexcept {
    tracestate_blanks_ = 0;
    if (tracestate_lines_) add_tracestate(",");
    tracestate_lines_ = true;
}

// Blanks after a comma or at the beginning are optional white space and dropped here; those at the
// end are held back in tracestate_blanks_ until something follows.
void ContextCollector::add_tracestate(ByteView piece) noexcept {
    for (size_t i = 0; i < piece.size && !tracestate_overflow_; ++i) {
        const size_t at = static_cast<size_t>(tracestate_size_) + tracestate_blanks_;
        if (blank(piece[i])) {
            if (tracestate_size_ == 0 || tracestate_[tracestate_size_ - 1] == ',') continue;
            if (at >= tracestate_capacity_) continue;  // overflows when something follows
            tracestate_[at] = piece.chars()[i];
            ++tracestate_blanks_;
            continue;
        }
        if (at >= tracestate_capacity_) {
            tracestate_overflow_ = true;
            return;
        }
        tracestate_[at] = piece.chars()[i];
        tracestate_size_ = static_cast<uint16_t>(at + 1);
        tracestate_blanks_ = 0;
    }
}

bool ContextCollector::context(SpanContext& out) const noexcept {
    if (traceparent_lines_ != 1) return false;
    const size_t kept =
        traceparent_size_ < sizeof(traceparent_) ? traceparent_size_ : sizeof(traceparent_);
    return parse_traceparent({traceparent_, kept}, out);
}

bool ContextCollector::invalid() const noexcept {
    SpanContext ignored;
    return saw_traceparent() && !context(ignored);
}

bool ContextCollector::tracestate_usable() const noexcept {
    return !tracestate_overflow_ && valid_tracestate({tracestate_, tracestate_size_});
}

ByteView ContextCollector::tracestate() const noexcept {
    SpanContext ignored;
    const ByteView list{tracestate_, tracestate_size_};
    if (list.empty() || !context(ignored) || !tracestate_usable() || only_separators(list))
        return {};
    return list;
}

bool ContextCollector::tracestate_dropped() const noexcept {
    SpanContext ignored;
    return tracestate_lines_ && context(ignored) && !tracestate_usable();
}

}  // namespace remora
