// SPDX-License-Identifier: Apache-2.0
// Names, attributes and status of Redis spans.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <optional>

#include "agent/protocol/description.h"

namespace remora::protocol::redis {
void describe(const ExchangeView&, Description&);

namespace {

struct Case {
    std::string request;
    std::string response;
    uint32_t batch = 0;
    const char* peer = "192.0.2.7";
};

Description described(const Case& c) {
    remora_exchange exchange{};
    exchange.batch = c.batch;
    if (strchr(c.peer, ':') != nullptr) {
        exchange.peer.family = AF_INET6;
        inet_pton(AF_INET6, c.peer, exchange.peer.bytes);
    } else if (*c.peer != 0) {
        exchange.peer.family = AF_INET;
        inet_pton(AF_INET, c.peer, exchange.peer.bytes);
    }
    exchange.peer.port = 6379;
    Description out;
    describe(ExchangeView{exchange,
                          {c.request.data(), c.request.size()},
                          {},
                          {c.response.data(), c.response.size()}},
             out);
    return out;
}

std::optional<AttributeValue> value(const Description& d, const std::string& key) {
    std::optional<AttributeValue> found;
    for (const Attribute& a : d.attributes)
        if (a.key == key) {
            EXPECT_FALSE(found) << key << " twice";
            found = a.value;
        }
    return found;
}
AttributeValue text(const char* s) { return std::string(s); }
AttributeValue number(int64_t n) { return n; }

TEST(RedisAttributes, ACommand) {
    const Description d = described({"CONFIG GET\n", ""});
    EXPECT_EQ(d.name, "CONFIG GET 192.0.2.7:6379");
    EXPECT_EQ(value(d, "db.system.name"), text("redis"));
    EXPECT_EQ(value(d, "db.operation.name"), text("CONFIG GET"));
    EXPECT_EQ(value(d, "server.address"), text("192.0.2.7"));
    EXPECT_EQ(value(d, "server.port"), number(6379));
    EXPECT_EQ(d.attributes.size(), 4u);
    EXPECT_EQ(d.status, StatusCode::unset);
    EXPECT_EQ(d.error_type, "");
}

TEST(RedisAttributes, AnError) {
    const Description d = described({"GET\n", "WRONGTYPE\n"});
    EXPECT_EQ(value(d, "db.response.status_code"), text("WRONGTYPE"));
    EXPECT_EQ(d.error_type, "WRONGTYPE");
    EXPECT_EQ(d.status, StatusCode::error);
    EXPECT_EQ(d.status_message, "");
}

TEST(RedisAttributes, Batches) {
    EXPECT_EQ(value(described({"GET\nGET\n", "", 2}), "db.operation.name"), text("BATCH GET"));
    EXPECT_EQ(value(described({"GET\nSET\n", "", 2}), "db.operation.name"), text("PIPELINE"));
    EXPECT_EQ(value(described({"GET\nSET\n", "", 2}), "db.operation.batch.size"), number(2));
    // Cut captures: the rest is unknown.
    EXPECT_EQ(value(described({"GET\nGET\n", "", 9}), "db.operation.name"), text("PIPELINE"));
    EXPECT_EQ(value(described({"", "", 9}), "db.operation.name"), text("PIPELINE"));
    for (uint32_t single : {0, 1})
        EXPECT_EQ(value(described({"GET\n", "", single}), "db.operation.batch.size"), std::nullopt);
    EXPECT_EQ(described({"GET\nSET\n", "MOVED\nERR\n", 2}).error_type, "MOVED");
}

TEST(RedisAttributes, Targets) {
    EXPECT_EQ(described({"GET\n", "", 0, "2001:db8::1"}).name, "GET [2001:db8::1]:6379");
    const Description local = described({"GET\n", "", 0, ""});
    EXPECT_EQ(local.name, "GET");
    EXPECT_EQ(value(local, "server.address"), std::nullopt);
    EXPECT_EQ(value(local, "server.port"), std::nullopt);
    EXPECT_EQ(described({"", "", 0, ""}).name, "redis");
    EXPECT_EQ(described({"", ""}).name, "192.0.2.7:6379");
}

TEST(RedisAttributes, ForgedCapturesDoNotGetThrough) {
    const Description d = described({"get\x1b[2J\n", "a secret\n"});
    EXPECT_EQ(value(d, "db.operation.name"), text("_OTHER"));
    EXPECT_EQ(d.error_type, "_OTHER");
    EXPECT_EQ(value(described({std::string(1000, 'A') + "\n", ""}), "db.operation.name"),
              text("_OTHER"));
    EXPECT_EQ(value(described({"no line end", ""}), "db.operation.name"), std::nullopt);
}

}  // namespace
}  // namespace remora::protocol::redis
