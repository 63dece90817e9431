// SPDX-License-Identifier: Apache-2.0
#include "agent/view/terminal_view.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "agent/base/printable.h"
#include "agent/base/write_all.h"
#include "agent/view/waterfall.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;

Result<UniqueFd> open_output(const std::string& path) {
    if (path.empty()) {
        UniqueFd copy(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
        if (!copy) return Error{"cannot write to stderr", errno};
        return copy;
    }
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666));
    if (!fd) return Error{"cannot open the view's file " + printable(path), errno};
    return fd;
}

void block_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

void FinalView::stop(Clock::time_point) {
    if (std::exchange(stopped_, true)) return;
    const TraceStore::Content content = traces_.content();
    const std::string text = content.traces.empty() ? "remora: no spans were recorded\n"
                                                    : render_waterfall(content, style_);
    // Nobody to tell when the terminal is gone.
    [[maybe_unused]] const Status status = write_all(output_.get(), text);
}

LiveView::LiveView(UniqueFd output, const TerminalStyle& style)
    : output_(std::move(output)), style_(style), worker_([this] { work(); }) {}

LiveView::~LiveView() { stop(Clock::now()); }

void LiveView::on_span(const Span& span) {
    const std::lock_guard lock(mutex_);
    traces_.add(span, Clock::now());
    changed_.notify_one();
}

void LiveView::stop(Clock::time_point) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_one();
    }
    if (worker_.joinable()) worker_.join();
}

void LiveView::work() {
    block_signals();
    std::unique_lock lock(mutex_);
    for (;;) {
        const bool last = stopping_;
        const std::vector<TraceView> due =
            last ? traces_.take_all() : traces_.take_due(Clock::now());
        if (!due.empty()) {
            lock.unlock();
            print(due);
            lock.lock();
            continue;
        }
        if (last) return;
        if (const auto next = traces_.next_due())
            changed_.wait_until(lock, *next);
        else
            changed_.wait(lock);
    }
}

void LiveView::print(const std::vector<TraceView>& traces) {
    std::string text;
    for (const TraceView& trace : traces) {
        if (std::exchange(printed_, true)) text += '\n';
        text += render_trace(trace, style_);
    }
    [[maybe_unused]] const Status status = write_all(output_.get(), text);
}

Result<std::unique_ptr<TerminalView>> make_terminal_view(const Config& config) {
    if (config.view == View::none) return std::unique_ptr<TerminalView>();
    auto output = open_output(config.view_file);
    if (!output) return output.error();
    const TerminalStyle style =
        TerminalStyle::of(output->get(), [](const char* name) { return std::getenv(name); });
    std::unique_ptr<TerminalView> view;
    if (config.view == View::live)
        view = std::make_unique<LiveView>(std::move(*output), style);
    else
        view = std::make_unique<FinalView>(std::move(*output), style);
    return view;
}

}  // namespace remora
