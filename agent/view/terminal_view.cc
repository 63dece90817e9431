// SPDX-License-Identifier: Apache-2.0
#include "agent/view/terminal_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "agent/base/printable.h"
#include "agent/view/waterfall.h"

namespace remora {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto no_limit = Clock::time_point::max();

Result<UniqueFd> open_output(const std::string& path) {
    if (path.empty()) {
        UniqueFd copy(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
        if (!copy) return Error{"cannot write to stderr", errno};
        return copy;
    }
    return open_output_file(path, "the view's file");
}

// Of a full disk and the like; nobody to tell when the terminal itself is gone.
void complain(const std::string& path, const Status& status) {
    if (status || path.empty()) return;
    const int number = status.error().number;
    spdlog::warn("the view in {} is cut: {}", printable(path),
                 number == ETIMEDOUT ? "its reader does not read" : std::strerror(number));
}

void block_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

void FinalView::stop(Clock::time_point deadline) {
    if (std::exchange(stopped_, true)) return;
    const TraceStore::Content content = traces_.content();
    const std::string text = content.traces.empty() ? "remora: no spans were recorded\n"
                                                    : render_waterfall(content, style_);
    std::string_view left = text;
    complain(path_, OutputWriter().write(output_.get(), left, path_.empty() ? no_limit : deadline));
}

LiveView::LiveView(UniqueFd output, std::string path, const TerminalStyle& style)
    : output_(std::move(output)),
      path_(std::move(path)),
      style_(style),
      worker_([this] { work(); }) {}

LiveView::~LiveView() { stop(Clock::now()); }

void LiveView::on_span(const Span& span) {
    const std::lock_guard lock(mutex_);
    traces_.add(span, Clock::now());
    changed_.notify_one();
}

void LiveView::stop(Clock::time_point deadline) {
    if (!path_.empty()) writer_.limit(deadline);
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
        const size_t forgotten = traces_.take_forgotten();
        if (!due.empty() || forgotten > 0) {
            lock.unlock();
            print(due, forgotten);
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

void LiveView::print(const std::vector<TraceView>& traces, size_t forgotten) {
    std::string text;
    if (forgotten > 0)
        text += fmt::format("remora: {} trace{} not shown: the output was held up\n", forgotten,
                            forgotten == 1 ? " is" : "s are");
    for (const TraceView& trace : traces) {
        if (std::exchange(printed_, true)) text += '\n';
        text += render_trace(trace, style_);
    }
    std::string_view left = text;
    const Status status = writer_.write(output_.get(), left);
    if (!status && !std::exchange(complained_, true)) complain(path_, status);
}

Result<std::unique_ptr<TerminalView>> make_terminal_view(const Config& config) {
    if (config.view == View::none) return std::unique_ptr<TerminalView>();
    auto output = open_output(config.view_file);
    if (!output) return output.error();
    const TerminalStyle style =
        TerminalStyle::of(output->get(), [](const char* name) { return std::getenv(name); });
    std::unique_ptr<TerminalView> view;
    if (config.view == View::live)
        view = std::make_unique<LiveView>(std::move(*output), config.view_file, style);
    else
        view = std::make_unique<FinalView>(std::move(*output), config.view_file, style);
    return view;
}

}  // namespace remora
