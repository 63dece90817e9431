// SPDX-License-Identifier: Apache-2.0
// Says once that a destination fails, then sums up at most once a minute, and says when it works
// again. Not thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace remora {

class FailureLog {
public:
    using TimePoint = std::chrono::steady_clock::time_point;
    enum class Level { info, warning };
    using Write = std::function<void(Level, const std::string& line)>;

    // what: "OTLP export to http://..."; write: where lines go, spdlog if not given.
    explicit FailureLog(std::string what, Write write = {});

    // A first try failed and others follow: worth a line when nothing was said yet.
    void trying_again(const std::string& why, TimePoint now);
    void failed(const std::string& why, size_t spans, TimePoint now);
    // The destination answered, yet refused some or had something to say.
    void refused(const std::string& why, size_t spans, TimePoint now);
    void succeeded();

    static constexpr std::chrono::seconds interval{60};

private:
    void say(const std::string& line, TimePoint now);

    std::string what_;
    Write write_;
    TimePoint last_line_{};
    std::string last_why_;
    bool in_trouble_ = false;
    bool said_ = false;   // within this trouble
    size_t unsaid_ = 0;   // spans dropped since the last line
    size_t dropped_ = 0;  // within this trouble
};

}  // namespace remora
