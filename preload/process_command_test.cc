// SPDX-License-Identifier: Apache-2.0
#include "preload/process_command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora::shim {
namespace {

// "argv[0]" or "argv[0] script".
std::string described(const std::vector<const char*>& arguments, const char* executable = "",
                      size_t capacity = 128) {
    std::vector<char> out(capacity, 'x');
    describe_command(static_cast<int>(arguments.size()), arguments.data(), executable, out.data(),
                     capacity);
    EXPECT_EQ(out.back(), '\0');
    std::string text = out.data();
    if (text.size() + 2 < capacity && out[text.size() + 1] != '\0')
        text += std::string(" ") + (out.data() + text.size() + 1);
    return text;
}

TEST(ProcessCommand, Programs) {
    EXPECT_EQ(described({"nginx", "-g", "daemon off;"}), "nginx");
    EXPECT_EQ(described({"/usr/bin/curl", "http://user:secret@host/"}), "/usr/bin/curl");
    EXPECT_EQ(described({}), "");
}

TEST(ProcessCommand, ScriptsOfInterpreters) {
    EXPECT_EQ(described({"python3", "/srv/app.py", "--token=x"}), "python3 app.py");
    EXPECT_EQ(described({"/usr/bin/python3.11", "-u", "-X", "dev", "app.py"}),
              "/usr/bin/python3.11 app.py");
    EXPECT_EQ(described({"python3", "-m", "http.server", "80"}), "python3 http.server");
    EXPECT_EQ(described({"node", "--require", "./hook.js", "server.js"}), "node server.js");
    EXPECT_EQ(described({"java", "-cp", "a.jar", "-Xmx1g", "com.example.Main"}),
              "java com.example.Main");
    EXPECT_EQ(described({"java", "-jar", "/opt/app.jar"}), "java app.jar");
    EXPECT_EQ(described({"bash", "-o", "pipefail", "job.sh"}), "bash job.sh");
    EXPECT_EQ(described({"sh", "/etc/init.d/x", "start"}, "/usr/bin/dash"), "sh x");
    EXPECT_EQ(described({"ruby", "-I", "lib", "app.rb"}), "ruby app.rb");
    EXPECT_EQ(described({"my-app", "app.py"}, "/usr/bin/python3.11"), "my-app app.py");
}

TEST(ProcessCommand, ServersOfApplicationsAreNamedByWhatTheyServe) {
    EXPECT_EQ(described({"/usr/bin/python3", "/usr/bin/gunicorn", "-b", "127.0.0.1:80", "--bind",
                         "localhost:81", "--bind=[::1]:82", "shop.web:app"}),
              "/usr/bin/python3 shop.web");
    EXPECT_EQ(described({"python3", "-m", "uvicorn", "main:app", "--port", "80"}), "python3 main");
    EXPECT_EQ(described({"python3", "/usr/bin/gunicorn", "-b", "unix:/run/x", "shop"}),
              "python3 gunicorn");
    EXPECT_EQ(described({"python3", "app.py", "user:secret"}), "python3 app.py");
}

TEST(ProcessCommand, TextsOfProgramsStayPrivate) {
    const std::vector<const char*> texts[] = {
        {"python3", "-c", "password=1"}, {"python3", "-Bc", "password=1"},
        {"bash", "-c", "secret"},        {"bash", "-ec", "secret"},
        {"bash", "-lc", "secret"},       {"sh", "-c", "--", "secret"},
        {"perl", "-e", "secret"},        {"perl", "-lane", "secret"},
        {"perl", "-pe", "secret"},       {"node", "-e", "secret"},
        {"node", "-pe", "secret"},       {"node", "--eval", "secret"},
        {"ruby", "-ne", "secret"},       {"php", "-r", "secret"},
        {"bash", "-s", "secret"},        {"python3", "-"},
    };
    for (const auto& arguments : texts) EXPECT_EQ(described(arguments), arguments[0]);
    EXPECT_EQ(described({"sh", "a b"}), "sh") << "a text rather than a file";
}

TEST(ProcessCommand, NamesThatOnlyLookLikeInterpreters) {
    EXPECT_EQ(described({"nodemon", "secret"}), "nodemon");
    EXPECT_EQ(described({"shred", "secret"}), "shred");
    EXPECT_EQ(described({"perldoc", "secret"}), "perldoc");
}

TEST(ProcessCommand, IsCutToItsRoom) {
    const std::string longer(300, 'p');
    EXPECT_EQ(described({longer.c_str()}).size(), 127u);
    const std::string script = "/" + std::string(300, 's');
    EXPECT_EQ(described({"sh", script.c_str()}, "", 16), "sh " + std::string(12, 's'));
    for (size_t capacity = 2; capacity < 12; ++capacity)
        described({"python3", "a.py"}, "", capacity);
}

TEST(ProcessCommand, ArgumentsThatEndEarly) {
    const char* arguments[] = {"python3", nullptr, nullptr};
    char out[32];
    describe_command(3, arguments, "", out, sizeof(out));
    EXPECT_STREQ(out, "python3");
    describe_command(1, nullptr, "", out, sizeof(out));
    EXPECT_STREQ(out, "");
    EXPECT_EQ(described({"bash", "-o"}), "bash");
}

}  // namespace
}  // namespace remora::shim
