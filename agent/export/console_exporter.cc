// SPDX-License-Identifier: Apache-2.0
#include "agent/export/console_exporter.h"

#include "agent/base/printable.h"
#include "agent/base/write_all.h"
#include "agent/export/span_format.h"

namespace remora {

std::string console_line(const Span& span) {
    std::string line = utc_text(span.start_unix_ns);
    line += ' ';
    line += kind_text(span.kind);
    line += ' ' + printable(span.name);
    line += ' ' + duration_text(span.end_unix_ns - span.start_unix_ns);
    const std::string* service = span.resource ? span.resource->text("service.name") : nullptr;
    if (service != nullptr) line += ' ' + printable(*service);
    line += " trace=" + id_text(span.trace_id) + " span=" + id_text(span.span_id);
    if (span.parent_id.valid()) line += " parent=" + id_text(span.parent_id);
    if (span.status == StatusCode::error) line += " status=error";
    if (!span.status_message.empty()) line += " (" + printable(span.status_message) + ")";
    for (const Attribute& attribute : span.attributes)
        line += ' ' + printable(attribute.key) + '=' + printable(value_text(attribute.value));
    return line;
}

Result<Delivery> ConsoleExporter::export_spans(const std::vector<Span>& batch,
                                               std::chrono::steady_clock::time_point) {
    std::string text;
    for (const Span& span : batch) text += console_line(span) + '\n';
    const Status status = write_all(fd_, text);
    if (!status) return Error{"cannot write spans to the console", status.error().number};
    return Delivery::sent;
}

}  // namespace remora
