// SPDX-License-Identifier: Apache-2.0
// What `remora ps`, `remora inspect` and `remora doctor` write to standard output: JSON and texts.
#pragma once

#include <nlohmann/json.hpp>

#include "agent/inspect/process_survey.h"

namespace remora {

// What ps says of it. Texts that are not UTF-8 are mended.
nlohmann::ordered_json process_json(const SurveyedProcess& process);
// Adds what only inspect says.
void add_details(const SurveyedProcess& process, nlohmann::ordered_json& out);

// Writes the document and a line's end to standard output; the exit status: `status`, or 125.
int print_json(const nlohmann::ordered_json& document, int status);
// Writes a whole text there; the same.
int print_text(const std::string& text, int status);

// service.name of its spans; empty: it has none.
std::string service_text(const SurveyedProcess& process);

// The command line of a process as one line, or its name in brackets. Harmless for a terminal.
std::string command_text(const ProcessFacts& facts);

}  // namespace remora
