// SPDX-License-Identifier: Apache-2.0
// What a person sees of the traces: at the end, or while they happen.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/base/output_file.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/config/config.h"
#include "agent/span/span_sink.h"
#include "agent/view/live_traces.h"
#include "agent/view/terminal_style.h"
#include "agent/view/trace_store.h"

namespace remora {

class TerminalView : public SpanSink {
public:
    // Shows what is left to show. Idempotent. A file's reader is waited for until the deadline; a
    // terminal for as long as its user holds it.
    virtual void stop(std::chrono::steady_clock::time_point deadline) = 0;
};

// The waterfall of the recent traces, once, at stop().
class FinalView : public TerminalView {
public:
    FinalView(UniqueFd output, std::string path, const TerminalStyle& style)
        : output_(std::move(output)), path_(std::move(path)), style_(style) {}

    using SpanSink::on_span;
    void on_span(const Span& span) override { traces_.on_span(span); }
    void stop(std::chrono::steady_clock::time_point deadline) override;

private:
    UniqueFd output_;
    std::string path_;  // empty: standard error
    TerminalStyle style_;
    TraceStore traces_;
    bool stopped_ = false;
};

// Every trace when it seems complete, by a thread of its own: a terminal that is held (Ctrl-S)
// holds up no span.
class LiveView : public TerminalView {
public:
    LiveView(UniqueFd output, std::string path, const TerminalStyle& style);
    ~LiveView() override;

    using SpanSink::on_span;
    void on_span(const Span& span) override;
    void stop(std::chrono::steady_clock::time_point deadline) override;

private:
    void work();
    void print(const std::vector<TraceView>& traces, size_t forgotten);

    UniqueFd output_;
    const std::string path_;  // empty: standard error
    OutputWriter writer_;
    const TerminalStyle style_;
    std::mutex mutex_;  // guards the two below
    std::condition_variable changed_;
    LiveTraces traces_;
    bool stopping_ = false;
    bool printed_ = false;  // the thread's own, like the next
    bool complained_ = false;
    std::jthread worker_;  // last: it uses all of the above
};

// Null where the configuration wants no view. Writes to config.view_file, or to a duplicate of
// stderr. An error: the file cannot be opened.
Result<std::unique_ptr<TerminalView>> make_terminal_view(const Config& config);

}  // namespace remora
