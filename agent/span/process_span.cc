// SPDX-License-Identifier: Apache-2.0
#include "agent/span/process_span.h"

#include <cstring>
#include <string_view>

#include "agent/context/span_context.h"
#include "agent/span/span_text.h"
#include "agent/span/span_times.h"

namespace remora {
namespace {

void set_command_line(const remora_process& process, std::string_view name, Span& span) {
    auto& attributes = span.attributes;
    attributes.push_back({"process.executable.name", std::string(name)});
    const std::string_view path = field_text(process.executable);
    if (!path.empty()) attributes.push_back({"process.executable.path", std::string(path)});
    // Arguments may hold secrets: argv[0] only.
    const std::string_view command = field_text(process.command);
    if (!command.empty()) attributes.push_back({"process.command", std::string(command)});
    attributes.push_back({"process.pid", int64_t{process.pid}});
    if (process.parent_pid != 0)
        attributes.push_back({"process.parent_pid", int64_t{process.parent_pid}});
}

void set_exit(const remora_process& process, Span& span) {
    if ((process.states & REMORA_PROCESS_EXITED) == 0) return;
    span.attributes.push_back({"process.exit.code", int64_t{process.exit_code}});
    if (process.exit_code == 0) return;
    span.status = StatusCode::error;
    span.attributes.push_back({"error.type", std::to_string(process.exit_code)});
}

}  // namespace

bool should_export_process_span(const remora_process& process) {
    TraceId trace_id;
    SpanId span_id;
    memcpy(trace_id.bytes, process.trace_id, sizeof(trace_id.bytes));
    memcpy(span_id.bytes, process.span_id, sizeof(span_id.bytes));
    if (!trace_id.valid() || !span_id.valid()) return false;
    if ((process.trace_flags & flag_sampled) == 0) return false;
    if ((process.states & REMORA_PROCESS_FORKED) != 0) return false;
    const bool server = (process.states & REMORA_PROCESS_SERVER) != 0;
    return !server || (process.states & REMORA_PROCESS_REFERENCED) != 0;
}

Span ProcessSpanBuilder::build(const remora_process& process, const ClockOffset& clock,
                               std::shared_ptr<const Resource> resource) const {
    Span span;
    memcpy(span.trace_id.bytes, process.trace_id, sizeof(span.trace_id.bytes));
    memcpy(span.span_id.bytes, process.span_id, sizeof(span.span_id.bytes));
    memcpy(span.parent_id.bytes, process.parent_id, sizeof(span.parent_id.bytes));
    span.trace_flags = process.trace_flags;
    span.parent_is_remote = span.parent_id.valid();  // it came in the environment
    std::string_view name = base_name(field_text(process.executable));
    if (name.empty()) name = base_name(field_text(process.command));
    if (name.empty()) name = "process";
    span.name = name;
    const SpanTimes times = span_times(process.start_ns, process.end_ns, clock);
    if (times.nonsense) count_loss_(REMORA_LOSS_record_invalid, 1);
    span.start_unix_ns = times.start_unix_ns;
    span.end_unix_ns = times.end_unix_ns;
    set_command_line(process, name, span);
    set_exit(process, span);
    span.resource = std::move(resource);
    finish_texts(span);
    return span;
}

}  // namespace remora
