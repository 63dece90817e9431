// SPDX-License-Identifier: Apache-2.0
#include "agent/main/messages.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>

#include "agent/base/printable.h"
#include "agent/base/write_all.h"

namespace remora {

void say_line(const std::string& text) {
    // One write: lines of the program and ours don't mix.
    (void)write_all(STDERR_FILENO, "remora: " + printable(text) + "\n");
}

void set_up_log(const Config& config, bool quiet, bool verbose) {
    auto logger = std::make_shared<spdlog::logger>(
        "remora", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("remora: %l: %v");
    auto level = spdlog::level::from_str(config.log_level);
    if (config.log_level == "none") level = spdlog::level::off;
    if (quiet) level = std::max(level, spdlog::level::err);
    if (verbose) level = std::min(level, spdlog::level::debug);
    logger->set_level(level);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace remora
