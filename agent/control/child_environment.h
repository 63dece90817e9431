// SPDX-License-Identifier: Apache-2.0
// The environment of a traced program: the caller's own, with our library in LD_PRELOAD, the
// session, and what flags say that only the program can know. Not thread-safe (reads environ).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace remora {

// Where libremora.so is: REMORA_LIBRARY, else next to this executable or in the library folders
// that belong to its installation. The error names the places.
Result<std::string> find_library();

// A list of NAME=value in the order of `environment` (a NULL-ended array such as environ).
class ChildEnvironment {
public:
    explicit ChildEnvironment(const char* const* environment);

    void set(const std::string& name, const std::string& value);
    // REMORA_SESSION; and where the user has no TRACEPARENT, one that is none (zero ids), marked as
    // ours: the shim writes the process span over it before system() and popen(), which take the
    // environment as it is.
    void join_session(const std::string& session);
    // LD_PRELOAD as the user had it, then our library unless it is in it already.
    void preload(const std::string& library);

    // Valid until the next change.
    [[nodiscard]] std::vector<char*> pointers();

private:
    std::string* find(const std::string& name);  // nullptr: there is none

    std::vector<std::string> variables_;
};

}  // namespace remora
