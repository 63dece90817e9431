// SPDX-License-Identifier: Apache-2.0
#include "agent/export/metrics_text.h"

#include <fmt/format.h>

namespace remora {
namespace {

// Label values: backslash, quote and line feed are escaped.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\' || c == '"') out += '\\';
        if (c == '\n')
            out += "\\n";
        else
            out += c;
    }
    return out;
}

void write_help(std::string& out, const char* name, const char* type, const char* help) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void write_single(std::string& out, const char* name, const char* help, uint64_t value) {
    write_help(out, name, "counter", help);
    out += fmt::format("{} {}\n", name, value);
}

struct Row {
    const char* name;
    const char* type;
    const char* help;
    uint64_t ExportCounts::*value;
};

constexpr Row rows[] = {
    {"remora_export_spans_sent_total", "counter", "Spans that the destination took.",
     &ExportCounts::exported},
    {"remora_export_spans_failed_total", "counter", "Spans that were given up.",
     &ExportCounts::failed},
    {"remora_export_spans_dropped_total", "counter", "Spans that found the queue full.",
     &ExportCounts::dropped},
    {"remora_export_spans_spooled_total", "counter", "Spans that were written to the spool.",
     &ExportCounts::spooled},
    {"remora_export_queue_spans", "gauge", "Spans that wait in memory.", &ExportCounts::queued},
    {"remora_export_queue_bytes", "gauge", "Memory of spans that wait or are being sent.",
     &ExportCounts::queued_bytes},
    {"remora_export_spool_spans", "gauge", "Spans that wait on disk.", &ExportCounts::spool_spans},
    {"remora_export_spool_bytes", "gauge", "Bytes that wait on disk.", &ExportCounts::spool_bytes},
};

void write_latency(std::string& out, const AgentNumbers& numbers) {
    constexpr const char* name = "remora_export_request_seconds";
    write_help(out, name, "histogram", "Time from the beginning of a request to its answer.");
    for (const auto& [destination, counts] : numbers.destinations) {
        const std::string label = escaped(destination);
        const LatencyHistogram& latency = counts.latency;
        uint64_t sum = 0;
        for (size_t i = 0; i < latency.counts.size(); ++i) {
            sum += latency.counts[i];
            const std::string bound = i < LatencyHistogram::bounds.size()
                                          ? fmt::format("{}", LatencyHistogram::bounds[i])
                                          : "+Inf";
            out += fmt::format("{}_bucket{{destination=\"{}\",le=\"{}\"}} {}\n", name, label, bound,
                               sum);
        }
        out += fmt::format("{}_sum{{destination=\"{}\"}} {}\n", name, label, latency.seconds);
        out += fmt::format("{}_count{{destination=\"{}\"}} {}\n", name, label, sum);
    }
}

}  // namespace

std::string metrics_text(const AgentNumbers& numbers) {
    std::string out;
    write_single(out, "remora_spans_seen_total", "Spans built from what programs said.",
                 numbers.spans_seen);
    write_single(out, "remora_spans_sampled_total", "Spans that the agent's sampler let through.",
                 numbers.spans_kept);
    write_help(out, "remora_losses_total", "counter",
               "What was lost or left alone, by reason (bpf/abi/loss.h).");
    for (const auto& [reason, count] : numbers.losses)
        out += fmt::format("remora_losses_total{{reason=\"{}\"}} {}\n", escaped(reason), count);
    for (const Row& row : rows) {
        write_help(out, row.name, row.type, row.help);
        for (const auto& [destination, counts] : numbers.destinations)
            out += fmt::format("{}{{destination=\"{}\"}} {}\n", row.name, escaped(destination),
                               counts.*row.value);
    }
    write_latency(out, numbers);
    return out;
}

}  // namespace remora
