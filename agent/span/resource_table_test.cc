// SPDX-License-Identifier: Apache-2.0
#include "agent/span/resource_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "agent/base/utf8.h"
#include "agent/span/host_attributes.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

using testing::MatchesRegex;

remora_process make_process(uint64_t image, const char* executable = "/usr/bin/nginx") {
    remora_process process = {};
    process.image = image;
    process.pid = 100;
    strncpy(process.executable, executable, sizeof(process.executable) - 1);
    return process;
}

class ResourceTableTest : public testing::Test {
protected:
    std::string text(uint64_t image, std::string_view key) {
        const std::string* found = table_.find(image)->text(key);
        return found == nullptr ? "(none)" : *found;
    }
    std::string service(remora_process process) {
        process.image = ++next_image_;
        table_.update(process);
        return text(process.image, "service.name");
    }
    uint64_t next_image_ = 1000;
    uint64_t losses_ = 0;
    ResourceTable table_{{}, [this](remora_loss, uint64_t count) { losses_ += count; }};
};

TEST_F(ResourceTableTest, SaysWhatTheProcessIs) {
    table_.update(make_process(1));
    EXPECT_EQ(text(1, "service.name"), "nginx");
    EXPECT_EQ(text(1, "process.executable.name"), "nginx");
    EXPECT_EQ(text(1, "process.executable.path"), "/usr/bin/nginx");
    EXPECT_EQ(text(1, "os.type"), "linux");
    EXPECT_EQ(text(1, "host.arch"), "amd64");
    EXPECT_EQ(text(1, "telemetry.sdk.name"), "remora");
    EXPECT_EQ(text(1, "telemetry.sdk.version"), REMORA_VERSION);
    EXPECT_NE(text(1, "host.name"), "(none)");
    const auto resource = table_.find(1);
    EXPECT_EQ(find_attribute(resource->attributes, "process.pid")->value,
              AttributeValue(int64_t{100}));
    std::set<std::string> keys;
    for (const Attribute& attribute : resource->attributes)
        EXPECT_TRUE(keys.insert(attribute.key).second) << attribute.key;
}

TEST_F(ResourceTableTest, SaysWhatTheMachineIs) {
    remora_process process = make_process(1, "/usr/bin/python3.11");
    process.parent_pid = 7;
    memcpy(process.command, "python3\0app.py", 15);
    table_.update(process);
    EXPECT_EQ(text(1, "process.command"), "python3");
    EXPECT_EQ(text(1, "process.runtime.name"), "cpython");
    EXPECT_EQ(text(1, "process.runtime.version"), "3.11");
    const auto parent = [this](uint32_t pid) {
        return find_attribute(table_.find(1, pid)->attributes, "process.parent_pid");
    };
    ASSERT_NE(parent(0), nullptr);
    EXPECT_EQ(parent(0)->value, AttributeValue(int64_t{7}));
    EXPECT_EQ(parent(101), nullptr);
    EXPECT_NE(text(1, "os.version"), "(none)");
    table_.update(make_process(2, "/usr/bin/node_exporter"));
    EXPECT_EQ(text(2, "process.runtime.name"), "(none)");
    strcpy(process.attributes, "host.name=named,os.description=own");
    process.image = 3;
    table_.update(process);
    EXPECT_EQ(text(3, "host.name"), "named");
    EXPECT_EQ(text(3, "os.description"), "own");
}

TEST(HostAttributes, TheSystemsName) {
    EXPECT_EQ(pretty_name("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"),
              "Debian GNU/Linux 12 (bookworm)");
    EXPECT_EQ(pretty_name("PRETTY_NAME='Alpine Linux v3.19'"), "Alpine Linux v3.19");
    EXPECT_EQ(pretty_name("PRETTY_NAME=Plain\n"), "Plain");
    EXPECT_EQ(pretty_name("PRETTY_NAME=\""), "\"");
    EXPECT_EQ(pretty_name("NAME=x"), "");
}

TEST_F(ResourceTableTest, AForkedWorkerHasAPidAndAnInstanceOfItsOwn) {
    table_.update(make_process(1));
    const auto first = table_.find(1, 100);
    const auto worker = table_.find(1, 101);
    EXPECT_EQ(first, table_.find(1));
    EXPECT_EQ(worker, table_.find(1, 101));
    EXPECT_EQ(find_attribute(worker->attributes, "process.pid")->value,
              AttributeValue(int64_t{101}));
    EXPECT_EQ(*worker->text("service.name"), *first->text("service.name"));
    EXPECT_NE(*worker->text("service.instance.id"), *first->text("service.instance.id"));
}

TEST_F(ResourceTableTest, TheServicesNameHasFourSources) {
    remora_process process = make_process(0, "/usr/bin/python3.11");
    EXPECT_EQ(service(process), "python3.11");
    memcpy(process.command, "python3\0/srv/app/checkout.py", 28);
    EXPECT_EQ(service(process), "checkout.py");
    strcpy(process.attributes, "service.name=by-attributes,deployment.environment.name=test");
    EXPECT_EQ(service(process), "by-attributes");
    strcpy(process.service_name, "by-name");
    EXPECT_EQ(service(process), "by-name");
    EXPECT_EQ(text(next_image_, "deployment.environment.name"), "test");
}

TEST_F(ResourceTableTest, AProgramWithoutAPathIsNamedByItsCommand) {
    remora_process process = make_process(0, "");
    strcpy(process.command, "/opt/x/server");
    EXPECT_EQ(service(process), "server");
    process.command[0] = '\0';
    EXPECT_EQ(service(process), "unknown_service");
    EXPECT_EQ(service(make_process(0, "/usr/bin/nginx (deleted)")), "nginx");
}

TEST_F(ResourceTableTest, BadAttributesAreDiscardedAsAWhole) {
    remora_process process = make_process(0);
    strcpy(process.attributes, "service.name=x,broken");
    EXPECT_EQ(service(process), "nginx");
}

TEST_F(ResourceTableTest, OurOwnConfigurationFillsWhatTheProcessDoesNotSay) {
    const std::string tail(600, 'x');
    ResourceTable table({"ours", "team=core,long=" + tail, ""}, [](remora_loss, uint64_t) {});
    remora_process process = make_process(1);
    table.update(process);
    EXPECT_EQ(*table.find(1)->text("service.name"), "ours");
    EXPECT_EQ(*table.find(1)->text("team"), "core");
    // The record holds the start of the same text, cut.
    process.image = 2;
    strncpy(process.attributes, ("team=core,long=" + tail).c_str(), sizeof(process.attributes) - 1);
    table.update(process);
    EXPECT_EQ(*table.find(2)->text("long"), tail);
    process.image = 3;
    strcpy(process.attributes, "team=other");
    table.update(process);
    EXPECT_EQ(*table.find(3)->text("team"), "other");
}

TEST_F(ResourceTableTest, EveryImageIsAnInstanceOfItsOwn) {
    table_.update(make_process(1));
    table_.update(make_process(2));
    EXPECT_NE(text(1, "service.instance.id"), text(2, "service.instance.id"));
    EXPECT_THAT(
        text(1, "service.instance.id"),
        MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
}

TEST_F(ResourceTableTest, AChangeOfStateKeepsTheResource) {
    remora_process process = make_process(1);
    table_.update(process);
    const auto before = table_.find(1);
    process.states = REMORA_PROCESS_SERVER;
    table_.update(process);
    EXPECT_EQ(table_.find(1), before);
}

TEST_F(ResourceTableTest, ForkedWorkersShareTheirMastersResource) {
    remora_process worker = make_process(1);
    worker.pid = 101;
    worker.states = REMORA_PROCESS_FORKED;
    table_.update(worker);  // may be heard of before its master
    table_.update(make_process(1));
    const auto resource = table_.find(1);
    EXPECT_EQ(find_attribute(resource->attributes, "process.pid")->value,
              AttributeValue(int64_t{100}));
    worker.pid = 102;
    table_.update(worker);
    EXPECT_EQ(table_.find(1), resource);
}

TEST_F(ResourceTableTest, EndedImagesStayForStragglersAndThenGo) {
    for (uint64_t image = 1; image <= ResourceTable::ended_limit + 10; ++image) {
        remora_process process = make_process(image);
        table_.update(process);
        process.end_ns = 1;
        table_.update(process);
    }
    EXPECT_EQ(table_.size(), ResourceTable::ended_limit);
    EXPECT_EQ(text(1, "service.name"), "unknown_service");
    EXPECT_EQ(text(ResourceTable::ended_limit, "service.name"), "nginx");
}

TEST_F(ResourceTableTest, AnImageLivesAsLongAsOneOfItsProcesses) {
    remora_process master = make_process(1), worker = make_process(1);
    worker.pid = 101;
    worker.states = REMORA_PROCESS_FORKED;
    table_.update(master);
    table_.update(worker);
    master.end_ns = 1;
    table_.update(master);
    for (uint64_t image = 2; image <= ResourceTable::ended_limit + 10; ++image) {
        remora_process process = make_process(image);
        process.end_ns = 1;
        table_.update(process);
    }
    EXPECT_EQ(text(1, "service.name"), "nginx");
}

TEST_F(ResourceTableTest, IsBounded) {
    for (uint64_t image = 1; image <= ResourceTable::entries_limit + 5; ++image)
        table_.update(make_process(image));
    EXPECT_EQ(table_.size(), ResourceTable::entries_limit);
    EXPECT_EQ(losses_, 5u);
}

TEST_F(ResourceTableTest, HostileTextsAreMended) {
    remora_process process = {};
    memset(&process, 0xff, sizeof(process));
    process.end_ns = 0;
    process.states = 0;
    table_.update(process);
    for (const Attribute& attribute : table_.find(process.image)->attributes)
        if (const auto* value = std::get_if<std::string>(&attribute.value)) {
            EXPECT_TRUE(is_valid_utf8(*value)) << attribute.key;
        }
}

}  // namespace
}  // namespace remora
