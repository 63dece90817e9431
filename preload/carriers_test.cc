// SPDX-License-Identifier: Apache-2.0
#include "preload/carriers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora::shim {
namespace {

using Words = std::vector<const char*>;

// The name of the carrier that a program gets, "" without one.
std::string chosen(const char* executable, const Words& arguments = {}, Words environment = {}) {
    environment.push_back(nullptr);
    Words words{executable};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const Carrier* carrier = choose_carrier(static_cast<int>(words.size()), words.data(),
                                            executable, environment.data());
    return carrier == nullptr ? "" : carrier->name;
}

std::string entry(const char* executable, const char* users, size_t capacity = 256) {
    const Words none{nullptr};
    const Carrier* carrier = choose_carrier(0, nullptr, executable, none.data());
    std::vector<char> out(capacity, 'x');
    if (!write_carrier_entry(*carrier, "/lib/c", users, out.data(), capacity)) return "refused";
    return out.data();
}

TEST(Carriers, Runtimes) {
    for (const char* path : {"/usr/bin/python3.11", "/usr/bin/python3", "python",
                             "/opt/python3.13t", "/opt/python3.12d"})
        EXPECT_EQ(chosen(path), "python") << path;
    for (const char* path : {"/usr/bin/node", "/usr/bin/nodejs"})
        EXPECT_EQ(chosen(path), "node") << path;
    for (const char* path :
         {"", "/usr/bin/python2.7", "/usr/bin/python-config", "/usr/bin/python3.11-config",
          "/usr/bin/nodes", "/usr/bin/node_exporter", "/usr/bin/perl", "/usr/bin/ipython"})
        EXPECT_EQ(chosen(path), "") << path;
}

TEST(Carriers, PythonThatIgnoresItsEnvironment) {
    const char* python = "/usr/bin/python3";
    for (const Words& words : std::vector<Words>{{"-I"},
                                                 {"-E"},
                                                 {"-S"},
                                                 {"-BsE", "x.py"},
                                                 {"-W", "ignore", "-I"},
                                                 {"-X", "dev", "-S"},
                                                 {"--check-hash-based-pycs", "never", "-I"}})
        EXPECT_EQ(chosen(python, words), "") << words.back();
    for (const Words& words : std::vector<Words>{{"x.py", "-I"},
                                                 {"-c", "-I"},
                                                 {"-m", "mod", "-S"},
                                                 {"-WIgnore"},
                                                 {"-Bum", "E"},
                                                 {"-XE"},
                                                 {"-", "-I"},
                                                 {"-cIS"},
                                                 {}})
        EXPECT_EQ(chosen(python, words), "python");
}

TEST(Carriers, NodeUnderRestrictions) {
    const char* node = "/usr/bin/node";
    for (const char* option : {"--permission", "--experimental-permission",
                               "--experimental-policy=p.json", "--build-snapshot"}) {
        EXPECT_EQ(chosen(node, {option, "x.js"}), "") << option;
        const std::string set = std::string("NODE_OPTIONS=--inspect ") + option;
        EXPECT_EQ(chosen(node, {"x.js"}, {set.c_str()}), "") << set;
    }
    EXPECT_EQ(chosen(node, {"--inspect", "x.js"}, {"NODE_OPTIONS=--require=dd"}), "node");
}

TEST(Carriers, Switch) {
    const char* python = "/usr/bin/python3";
    EXPECT_EQ(chosen(python, {}, {"REMORA_CARRIERS="}), "python");
    EXPECT_EQ(chosen(python, {}, {"REMORA_CARRIERS=none"}), "");
    EXPECT_EQ(chosen(python, {}, {"REMORA_CARRIERS=node"}), "");
    EXPECT_EQ(chosen(python, {}, {"REMORA_CARRIERS=node, Python"}), "python");
    EXPECT_EQ(chosen("/usr/bin/node", {}, {"REMORA_CARRIERS=node,python"}), "node");
    EXPECT_EQ(chosen("/usr/bin/node", {}, {"REMORA_CARRIERS=nodejs"}), "");
}

// The carriers take their part out again; they must be able to tell what the user had.
TEST(Carriers, Merging) {
    EXPECT_EQ(entry("python3", nullptr), "PYTHONPATH=/lib/c/python");
    EXPECT_EQ(entry("python3", ""), "PYTHONPATH=/lib/c/python/");
    EXPECT_EQ(entry("python3", "/a:/b"), "PYTHONPATH=/lib/c/python:/a:/b");
    EXPECT_EQ(entry("node", nullptr), "NODE_OPTIONS=--require=/lib/c/node/carrier.js");
    EXPECT_EQ(entry("node", ""), "NODE_OPTIONS=--require=/lib/c/node/carrier.js ");
    EXPECT_EQ(entry("node", "--inspect -r x"),
              "NODE_OPTIONS=--require=/lib/c/node/carrier.js --inspect -r x");
}

TEST(Carriers, NotTwice) {
    EXPECT_EQ(entry("python3", "/lib/c/python:/a"), "refused");
    EXPECT_EQ(entry("node", "--require=/lib/c/node/carrier.js"), "refused");
}

TEST(Carriers, NoRoom) {
    const size_t size = sizeof("PYTHONPATH=/lib/c/python:/a:/b");
    EXPECT_EQ(entry("python3", "/a:/b", size), "PYTHONPATH=/lib/c/python:/a:/b");
    EXPECT_EQ(entry("python3", "/a:/b", size - 1), "refused");
}

}  // namespace
}  // namespace remora::shim
