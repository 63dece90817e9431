// SPDX-License-Identifier: Apache-2.0
// Runs tests/support/collector.py, or another of its kind, for the life of the object. Ends it
// through its stdin.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

extern char** environ;

namespace remora::test {

class CollectorProcess {
public:
    // Further arguments of collector.py, e.g. {"--mode", "503,200"}.
    explicit CollectorProcess(std::vector<std::string> arguments = {},
                              const std::string& script = "collector.py") {
        char name[] = "/tmp/remora-collector-XXXXXX";
        const int fd = ::mkstemp(name);
        if (fd >= 0) ::close(fd);
        record_path_ = name;
        std::vector<std::string> words = {"/usr/bin/python3",
                                          REMORA_SOURCE_DIR "/tests/support/" + script,
                                          "--record", record_path_};
        words.insert(words.end(), arguments.begin(), arguments.end());
        start(words);
    }
    ~CollectorProcess() {
        if (input_ >= 0) ::close(input_);
        if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
        ::unlink(record_path_.c_str());
    }
    CollectorProcess(const CollectorProcess&) = delete;
    CollectorProcess& operator=(const CollectorProcess&) = delete;

    [[nodiscard]] bool running() const { return port_ != 0; }
    [[nodiscard]] std::string url() const {
        return "http://127.0.0.1:" + std::to_string(port_) + "/v1/traces";
    }
    [[nodiscard]] int port() const { return port_; }
    // What has come so far: one record per request, see collector.py.
    [[nodiscard]] std::vector<nlohmann::json> records() const {
        std::vector<nlohmann::json> found;
        std::ifstream file(record_path_);
        for (std::string line; std::getline(file, line);)
            found.push_back(nlohmann::json::parse(line));
        return found;
    }

private:
    void start(std::vector<std::string>& words) {
        int input[2], output[2];
        if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) return;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        if (::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0)
            pid_ = 0;
        posix_spawn_file_actions_destroy(&actions);
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        if (FILE* file = ::fdopen(output[0], "r")) {
            if (std::fscanf(file, "%d", &port_) != 1) port_ = 0;
            std::fclose(file);
        }
    }

    std::string record_path_;
    pid_t pid_ = 0;
    int input_ = -1;
    int port_ = 0;
};

}  // namespace remora::test
