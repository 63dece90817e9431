// SPDX-License-Identifier: Apache-2.0
#include "preload/child_environment.h"

#include <cstring>

#include "agent/context/span_context.h"
#include "preload/own_environment.h"
#include "preload/process_state.h"
#include "preload/small_text.h"

namespace remora::shim {
namespace {

constexpr size_t longest_path = 4096;

// "NAME=value" texts that every child shares; written by the constructor alone.
char preload_entry[11 + longest_path];             // LD_PRELOAD=<us>
char session_entry[96];                            // REMORA_SESSION=...
char marked_session_entry[sizeof(session_entry)];  // the same with ":t": TRACEPARENT is ours
bool inherited_trace_is_ours;

const char* const preload_prefix = "LD_PRELOAD=";

bool is_separator(char c) noexcept { return c == ':' || c == ' '; }

// Finds our name among the names of an LD_PRELOAD value; {0, 0}: not there.
struct Span {
    size_t begin, end;
};
Span find_name(const char* value, const char* name) noexcept {
    const size_t size = strlen(name);
    for (const char* at = strstr(value, name); at != nullptr; at = strstr(at + 1, name)) {
        const bool begins = at == value || is_separator(at[-1]);
        const bool ends = at[size] == '\0' || is_separator(at[size]);
        if (begins && ends)
            return {static_cast<size_t>(at - value), static_cast<size_t>(at - value) + size};
    }
    return {0, 0};
}

bool same_context(const SpanContext& a, const SpanContext& b) noexcept {
    return a.trace_id == b.trace_id && a.span_id == b.span_id;
}

}  // namespace

size_t count_entries(char* const* environment) noexcept {
    size_t count = 0;
    if (environment != nullptr)
        while (environment[count] != nullptr) ++count;
    return count;
}

const char* library_path() noexcept { return preload_entry[0] == '\0' ? "" : preload_entry + 11; }

bool inherited_traceparent_is_ours() noexcept { return inherited_trace_is_ours; }

bool is_inherited_traceparent(const char* value) noexcept {
    SpanContext context;
    if (!parse_traceparent(ByteView{value, strnlen(value, 256)}, context)) return true;
    const SpanContext* span = process_span();
    return same_context(context, incoming_context()) ||
           (span != nullptr && same_context(context, *span));
}

void init_child_environment(const SessionAddress& address, const char* library) noexcept {
    SmallText<sizeof(session_entry)> session_text;
    session_text.add(REMORA_SESSION_VARIABLE "=1:").add_number(address.agent_pid).add(":");
    session_text.add_number(address.lanes_fd).add(":").add_number(address.control_fd).add(":");
    session_text.add(address.id_text);
    memcpy(session_entry, session_text.text(), session_text.view().size + 1);
    session_text.add(":t");
    memcpy(marked_session_entry, session_text.text(), session_text.view().size + 1);
    inherited_trace_is_ours = address.traceparent_is_ours;
    const size_t size = strnlen(library, longest_path);
    if (library[0] != '/' || size >= longest_path) return;
    memcpy(preload_entry, preload_prefix, 11);
    memcpy(preload_entry + 11, library, size + 1);
}

void ChildEnvironment::write_traceparent_entry(const char* value) noexcept {
    memcpy(traceparent_, "TRACEPARENT=", 12);
    memcpy(traceparent_ + 12, value, traceparent_size);
    traceparent_[12 + traceparent_size] = '\0';
    tracestate_size_ = 0;
}

ChildEnvironment::Trace ChildEnvironment::decide_trace(const Environment& caller) noexcept {
    const bool inherited =
        caller.traceparent == nullptr || is_inherited_traceparent(caller.traceparent);
    if (!inherited || !tracing()) return Trace::keep;  // the program's own
    ChildContext child;
    if (!context_for_child(child)) {
        // Without a context of ours the user's TRACEPARENT stays; one that a shim put there for
        // this process would make a wrong parent.
        const bool users =
            caller.traceparent != nullptr && incoming_context().valid() && !inherited_trace_is_ours;
        if (users) return Trace::keep;
        write_traceparent_entry(no_traceparent);
        return Trace::replace;
    }
    char value[traceparent_size];
    write_traceparent(child.snapshot.context, value);
    write_traceparent_entry(value);
    tracestate_size_ = child.snapshot.tracestate_size;
    memcpy(tracestate_, "TRACESTATE=", 11);
    memcpy(tracestate_ + 11, child.snapshot.tracestate, tracestate_size_);
    tracestate_[11 + tracestate_size_] = '\0';
    if (child.is_process_span) note_referenced();
    return Trace::replace;
}

// What the child gets for this LD_PRELOAD entry; nullptr: nothing.
char* ChildEnvironment::edited_preload(char* entry, bool loads_us) noexcept {
    char* value = entry + 11;
    const Span us = find_name(value, library_path());
    if (loads_us == (us.end != 0)) return entry;
    const size_t size = strlen(value);
    if (size + strlen(library_path()) + 13 > sizeof(preload_)) return entry;
    if (loads_us) {
        // Behind the others: some (sanitizers) insist on being first.
        SmallText<sizeof(preload_)> text;
        text.add(preload_prefix).add(value);
        if (size > 0 && !is_separator(value[size - 1])) text.add(":");
        text.add(library_path());
        memcpy(preload_, text.text(), text.view().size + 1);
        return preload_;
    }
    // One separator goes with the name.
    size_t begin = us.begin, end = us.end;
    if (value[end] != '\0')
        ++end;
    else if (begin > 0)
        --begin;
    if (begin == 0 && value[end] == '\0') return nullptr;
    memcpy(preload_, entry, 11 + begin);
    memcpy(preload_ + 11 + begin, value + end, size - end + 1);
    return preload_;
}

// An entry of the caller's as it is to be; nullptr: dropped, or ours comes at the end.
char* ChildEnvironment::edited(char* entry, bool loads_us, char* last_preload) noexcept {
    // Of several LD_PRELOADs ld.so takes the last.
    if (entry == last_preload) return edited_preload(entry, loads_us);
    if (value_of(entry, REMORA_SESSION_VARIABLE) != nullptr) return nullptr;
    if (trace_ != Trace::keep &&
        (value_of(entry, "TRACEPARENT") != nullptr || value_of(entry, "TRACESTATE") != nullptr))
        return nullptr;
    return entry;
}

bool ChildEnvironment::build(char* const* caller, size_t count, bool loads_us,
                             char** entries) noexcept {
    if (library_path()[0] == '\0') return false;
    const Environment known = read_environment(caller);
    if (is_true(known.disable)) return false;
    if (known.session != nullptr) {
        // Another session, set on purpose: `remora run` inside `remora run`.
        SessionAddress address;
        if (!parse_session(known.session, address)) return false;
        if (memcmp(address.id, session().id, sizeof(address.id)) != 0) return false;
    }
    trace_ = decide_trace(known);
    const bool ours =
        trace_ == Trace::replace || (inherited_trace_is_ours && known.traceparent != nullptr &&
                                     is_inherited_traceparent(known.traceparent));

    char* last_preload = nullptr;
    for (size_t i = 0; i < count; ++i)
        if (value_of(caller[i], "LD_PRELOAD") != nullptr) last_preload = caller[i];
    size_t used = 0;
    for (size_t i = 0; i < count; ++i)
        if (char* entry = edited(caller[i], loads_us, last_preload)) entries[used++] = entry;
    if (last_preload == nullptr && loads_us) entries[used++] = preload_entry;
    entries[used++] = ours ? marked_session_entry : session_entry;
    if (trace_ == Trace::replace) {
        entries[used++] = traceparent_;
        if (tracestate_size_ > 0) entries[used++] = tracestate_;
    }
    entries[used] = nullptr;
    return true;
}

}  // namespace remora::shim
