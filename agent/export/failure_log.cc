// SPDX-License-Identifier: Apache-2.0
#include "agent/export/failure_log.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace remora {
namespace {

void write_to_spdlog(FailureLog::Level level, const std::string& line) {
    // As an argument: the line may hold braces.
    if (level == FailureLog::Level::warning)
        spdlog::warn("{}", line);
    else
        spdlog::info("{}", line);
}

std::string count_text(size_t spans) {
    return fmt::format("{} span{}", spans, spans == 1 ? "" : "s");
}

}  // namespace

FailureLog::FailureLog(std::string what, Write write)
    : what_(std::move(what)), write_(write ? std::move(write) : write_to_spdlog) {}

void FailureLog::trying_again(const std::string& why, TimePoint now) {
    if (std::exchange(in_trouble_, true)) return;
    say(fmt::format("{} failed, trying again: {}", what_, why), now);
}

void FailureLog::failed(const std::string& why, size_t spans, TimePoint now) {
    const bool first_loss = dropped_ == 0;
    in_trouble_ = true;
    dropped_ += spans;
    unsaid_ += spans;
    // A loss is said at once the first time and when its reason changes.
    const bool news = first_loss || why != last_why_;
    if (said_ && !news && now - last_line_ < interval) return;
    say(fmt::format("{} failed, {} dropped: {}", what_, count_text(std::exchange(unsaid_, 0)), why),
        now);
    last_why_ = why;
}

void FailureLog::refused(const std::string& why, size_t spans, TimePoint now) {
    unsaid_ += spans;
    if (said_ && why == last_why_ && now - last_line_ < interval) return;
    const size_t count = std::exchange(unsaid_, 0);
    say(count == 0 ? fmt::format("{}: {}", what_, why)
                   : fmt::format("{}: {} refused: {}", what_, count_text(count), why),
        now);
    last_why_ = why;
}

void FailureLog::succeeded() {
    if (!std::exchange(in_trouble_, false)) return;
    if (said_)
        write_(Level::info, dropped_ == 0 ? fmt::format("{} works again", what_)
                                          : fmt::format("{} works again; {} dropped in between",
                                                        what_, count_text(dropped_)));
    said_ = false;
    dropped_ = unsaid_ = 0;
}

void FailureLog::say(const std::string& line, TimePoint now) {
    write_(Level::warning, line);
    said_ = true;
    last_line_ = now;
}

}  // namespace remora
