// SPDX-License-Identifier: Apache-2.0
// Gathers the trace-context fields of one message head while a parser goes over it, piece by piece,
// and gives the verdict when the head is complete. Built into the shim: fixed size, no allocation.
#pragma once

#include "agent/base/bytes.h"
#include "agent/context/span_context.h"

namespace remora {

// The fields that propagators read. A parser names a field by this and knows no more about it.
enum class PropagationField : uint8_t { none, traceparent, tracestate };

// Which propagation field has this name, in any case? Lower-case letters and '-' only.
PropagationField propagation_field(ByteView name) noexcept;

// Not thread-safe. Trivially copyable: a caller may copy it to be able to go back.
class ContextCollector {
public:
    // Where tracestate is gathered: storage of the caller's, or null to do without (the list is
    // then reported as dropped).
    void start(char* tracestate_storage, size_t capacity) noexcept;

    // A piece of a field's value. Lines come in order; begins and ends mark the line's limits.
    // Optional white space at the line's ends is not part of the value, wherever pieces are cut.
    void add(PropagationField field, ByteView piece, bool begins, bool ends) noexcept;

    // After the head: the sender's context, if there was exactly one traceparent line and it is
    // valid. Several lines are invalid (Level 2, 3.2.1).
    [[nodiscard]] bool context(SpanContext& out) const noexcept;
    // The combined tracestate, empty when there was none, when it breaks the rules, when it did not
    // fit or when context() is false.
    [[nodiscard]] ByteView tracestate() const noexcept;

    [[nodiscard]] bool saw_traceparent() const noexcept { return traceparent_lines_ > 0; }
    [[nodiscard]] unsigned traceparent_lines() const noexcept { return traceparent_lines_; }
    // There was a traceparent and context() is false.
    [[nodiscard]] bool invalid() const noexcept;
    // There was a tracestate and tracestate() is empty for a reason other than an absent or invalid
    // traceparent.
    [[nodiscard]] bool tracestate_dropped() const noexcept;

private:
    void add_traceparent(ByteView piece) noexcept;
    void begin_tracestate_line() noexcept;
    void add_tracestate(ByteView piece) noexcept;
    [[nodiscard]] bool tracestate_usable() const noexcept;

    char* tracestate_ = nullptr;
    uint16_t tracestate_capacity_ = 0;
    uint16_t tracestate_size_ = 0;
    uint16_t tracestate_blanks_ = 0;  // trailing blanks seen but not yet known to be inside
    uint8_t traceparent_lines_ = 0;
    uint8_t traceparent_blanks_ = 0;
    uint16_t traceparent_size_ = 0;  // of the first line; only the first bytes are kept
    bool tracestate_lines_ = false;
    bool tracestate_overflow_ = false;
    char traceparent_[60] = {};
};

}  // namespace remora
