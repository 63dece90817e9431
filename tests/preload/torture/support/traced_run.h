// SPDX-License-Identifier: Apache-2.0
// A program under `remora run`, what it left behind, and the spans that came out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace torture {

struct Span {
    std::string name, trace_id, span_id, parent_id, state;
    int kind = 0;  // OTLP: 1 internal, 2 server, 3 client
    uint64_t start_ns = 0, end_ns = 0;
    std::map<std::string, std::string> attributes;  // numbers as text

    [[nodiscard]] std::string attribute(const std::string& key) const {
        const auto found = attributes.find(key);
        return found == attributes.end() ? "" : found->second;
    }
    // url.path of a server, the path within url.full of a client.
    [[nodiscard]] std::string path() const;
    [[nodiscard]] bool client() const { return kind == 3; }
    [[nodiscard]] bool server() const { return kind == 2; }
};

struct Outcome {
    int status = 0;          // as waitpid() says
    std::string error_text;  // stderr, the program's and the agent's
    std::vector<Span> spans;
    std::map<std::string, uint64_t> losses;  // by name of bpf/abi/loss.h

    [[nodiscard]] bool succeeded() const { return status == 0; }
    [[nodiscard]] uint64_t lost(const std::string& reason) const {
        const auto found = losses.find(reason);
        return found == losses.end() ? 0 : found->second;
    }
    // Everything that left a head uninjected or untouched.
    [[nodiscard]] uint64_t not_injected() const;
    [[nodiscard]] const Span* by_id(const std::string& span_id) const;
    [[nodiscard]] std::string summary() const;
};

class TracedRun {
public:
    // Starts `command` under `remora run`, or bare. Descriptors without FD_CLOEXEC are inherited.
    explicit TracedRun(std::vector<std::string> command, bool traced = true);
    ~TracedRun();  // kills what still runs
    TracedRun(const TracedRun&) = delete;
    TracedRun& operator=(const TracedRun&) = delete;

    // Waits for the end. Kills it, and says so in error_text, when the patience is over.
    Outcome wait();
    [[nodiscard]] const std::string& directory() const { return directory_; }

private:
    std::string directory_;
    bool traced_;
    pid_t pid_ = -1;
};

// Where the actors are: beside the test.
std::string beside(const std::string& program);

}  // namespace torture
