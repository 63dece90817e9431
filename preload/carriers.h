// SPDX-License-Identifier: Apache-2.0
// Runtime carriers: small files in the runtime's own language (runtimes/<name>/) that hand the
// trace header of the request being served on to the calls made for it. An event loop serves many
// requests on one thread; only the runtime knows which of them a call belongs to.
//
// The shim puts the carrier's file into the variable that the runtime loads such files from, in the
// process that is the runtime and nowhere else; the carrier takes it out again, so that children
// decide anew. A carrier that can't be had is left out silently.
//
// For the constructor: not thread-safe, no allocation, errno untouched.
#pragma once

#include <cstddef>

namespace remora::shim {

// A carrier for a program: where its file is, and the variable that loads it.
struct Carrier {
    const char* name;      // as in REMORA_CARRIERS and under runtimes/
    const char* variable;  // "PYTHONPATH"
    const char* prefix;    // before the path in the variable
    const char* file;      // below the carrier's folder
    bool names_folder;     // the variable takes the folder instead of the file
    char separator;        // between ours and the user's
    char if_empty;         // behind ours where the user's variable is there but empty
};

// The carrier of the runtime that this program is and that may be switched on: by its options,
// REMORA_CARRIERS and what the user set. nullptr: none.
const Carrier* choose_carrier(int argument_count, const char* const* arguments,
                              const char* executable, const char* const* environment) noexcept;

// Writes "NAME=value" with the carrier's file in front of what the user set (nullptr: nothing).
// `folder`: that of the carriers. false: it does not fit, or it is in there already.
bool write_carrier_entry(const Carrier& carrier, const char* folder, const char* users, char* out,
                         size_t capacity) noexcept;

// Switches on the carrier of this process, if its file can be opened: gives it an environment of
// its own with that entry. After init_child_environment and init_process.
void start_carrier(int argument_count, const char* const* arguments) noexcept;

}  // namespace remora::shim
