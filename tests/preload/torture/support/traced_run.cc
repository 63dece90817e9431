// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/torture/support/traced_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "bpf/abi/loss.h"
#include "tests/preload/torture/support/sockets.h"

namespace torture {
namespace {

constexpr auto patience = std::chrono::seconds(240);

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

std::map<std::string, std::string> read_attributes(const nlohmann::json& list) {
    std::map<std::string, std::string> out;
    for (const auto& item : list) {
        const auto& value = item.at("value");
        std::string text;
        if (value.contains("stringValue"))
            text = value.at("stringValue").get<std::string>();
        else if (value.contains("intValue"))
            text = value.at("intValue").is_string() ? value.at("intValue").get<std::string>()
                                                    : value.at("intValue").dump();
        else
            text = value.dump();
        out[item.at("key").get<std::string>()] = text;
    }
    return out;
}

Span read_span(const nlohmann::json& item) {
    Span span;
    span.name = item.value("name", "");
    span.trace_id = item.value("traceId", "");
    span.span_id = item.value("spanId", "");
    span.parent_id = item.value("parentSpanId", "");
    span.state = item.value("traceState", "");
    span.kind = item.value("kind", 0);
    span.start_ns = std::stoull(item.value("startTimeUnixNano", "0"));
    span.end_ns = std::stoull(item.value("endTimeUnixNano", "0"));
    if (item.contains("attributes")) span.attributes = read_attributes(item.at("attributes"));
    return span;
}

// OTLP/JSON, one export request a line.
std::vector<Span> read_spans(const std::string& path) {
    std::vector<Span> spans;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const auto request = nlohmann::json::parse(line);
        for (const auto& resource : request.at("resourceSpans"))
            for (const auto& scope : resource.at("scopeSpans"))
                for (const auto& item : scope.at("spans")) spans.push_back(read_span(item));
    }
    return spans;
}

// "... 12 x text of the reason" in what `remora run --verbose` says.
std::map<std::string, uint64_t> read_losses(const std::string& text) {
    static constexpr std::pair<const char*, const char*> reasons[] = {
#define X(name, said) {#name, said},
        REMORA_LOSS_REASONS(X)
#undef X
    };
    std::map<std::string, uint64_t> losses;
    for (const auto& [name, said] : reasons) {
        const size_t at = text.find(std::string(" x ") + said);
        if (at == std::string::npos) continue;
        size_t first = at;
        while (first > 0 && isdigit(static_cast<unsigned char>(text[first - 1]))) --first;
        losses[name] = std::stoull(text.substr(first, at - first));
    }
    return losses;
}

std::string remora() {
    const char* build = getenv("REMORA_BUILD_DIR");
    if (build == nullptr) fail("REMORA_BUILD_DIR is not set");
    return std::string(build) + "/remora";
}

void become(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    fprintf(stderr, "cannot run %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

}  // namespace

std::string Span::path() const {
    const std::string server_path = attribute("url.path");
    if (!server_path.empty()) return server_path;
    const std::string full = attribute("url.full");
    const size_t host = full.find("//");
    const size_t slash = host == std::string::npos ? host : full.find('/', host + 2);
    return slash == std::string::npos ? "" : full.substr(slash);
}

uint64_t Outcome::not_injected() const {
    uint64_t sum = 0;
    for (const auto& [name, count] : losses)
        if (name.rfind("not_injected_", 0) == 0) sum += count;
    return sum;
}

const Span* Outcome::by_id(const std::string& span_id) const {
    for (const Span& span : spans)
        if (span.span_id == span_id) return &span;
    return nullptr;
}

std::string Outcome::summary() const {
    std::string out = std::to_string(spans.size()) + " spans; losses:";
    for (const auto& [name, count] : losses) out += " " + name + "=" + std::to_string(count);
    return out;
}

std::string beside(const std::string& program) {
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / program).string();
}

TracedRun::TracedRun(std::vector<std::string> command, bool traced) : traced_(traced) {
    char name[] = "/tmp/remora-torture-XXXXXX";
    if (mkdtemp(name) == nullptr) fail("mkdtemp");
    directory_ = name;
    if (traced) {
        std::vector<std::string> words = {
            remora(), "run", "--verbose", "--output", directory_ + "/spans.jsonl", "--"};
        command.insert(command.begin(), words.begin(), words.end());
    }
    fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) fail("fork");
    if (pid_ > 0) return;
    setpgid(0, 0);
    const int errors = open((directory_ + "/stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(errors, 2);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "200", 1);
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "200000", 1);
    become(command);
}

TracedRun::~TracedRun() {
    if (pid_ > 0) {
        kill(-pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

Outcome TracedRun::wait() {
    Outcome out;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (waitpid(pid_, &out.status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > deadline) {
            kill(-pid_, SIGKILL);
            waitpid(pid_, &out.status, 0);
            out.error_text = "KILLED: it never ended\n";
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    pid_ = -1;
    out.error_text += read_file(directory_ + "/stderr");
    if (!traced_) return out;
    out.spans = read_spans(directory_ + "/spans.jsonl");
    out.losses = read_losses(out.error_text);
    return out;
}

}  // namespace torture
