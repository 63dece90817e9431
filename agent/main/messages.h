// SPDX-License-Identifier: Apache-2.0
// What the command says to the person in front of it: one line on standard error each.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "agent/config/config.h"

namespace remora {

constexpr int exit_usage = 2;
constexpr int exit_failed = 125;  // as env, timeout and docker do: not the program's own status
constexpr int exit_not_executable = 126;
constexpr int exit_not_found = 127;

// "remora: <text>". Names of files and programs may hold anything: controls are shown as escapes.
void say_line(const std::string& text);
template <typename... Arguments>
void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    say_line(fmt::format(format, std::forward<Arguments>(arguments)...));
}

// Sends the log to standard error, one line an entry, at the configured level.
void set_up_log(const Config& config, bool quiet, bool verbose);

}  // namespace remora
