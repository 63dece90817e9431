// SPDX-License-Identifier: Apache-2.0
#include "agent/config/config_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace remora {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

using Variables = std::map<std::string, std::string>;

ConfigBuilder builder_with(const Variables& variables) {
    ConfigBuilder builder;
    builder.environment([&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
    return builder;
}

LoadedConfig load(const Variables& variables) { return builder_with(variables).build(); }

const ConfigEntry& entry(const LoadedConfig& loaded, std::string_view setting) {
    for (const ConfigEntry& e : loaded.entries)
        if (e.setting == setting) return e;
    ADD_FAILURE() << "no entry " << setting;
    return loaded.entries.front();
}

TEST(Config, DefaultsShowAWaterfallAndExportNothing) {
    const LoadedConfig loaded = load({});
    const Config& config = loaded.config;
    EXPECT_THAT(loaded.warnings, IsEmpty());
    EXPECT_EQ(config.view, View::waterfall);
    EXPECT_FALSE(config.otlp.enabled);
    EXPECT_FALSE(config.console);
    EXPECT_FALSE(config.disabled);
    EXPECT_EQ(config.sampler.kind, REMORA_SAMPLER_PARENT_ALWAYS_ON);
    EXPECT_EQ(config.sampler.threshold, 0u);
    EXPECT_FALSE(config.sampler_forced);
    EXPECT_EQ(config.idle_limit.count(), 300);
    EXPECT_EQ(config.lanes, 512u);
    EXPECT_EQ(config.otlp.endpoint, "http://localhost:4318/v1/traces");
    for (const ConfigEntry& e : loaded.entries) EXPECT_EQ(e.origin, Origin::built_in) << e.setting;
}

TEST(Config, AnEmptyVariableIsUnset) {
    const LoadedConfig loaded = load({{"OTEL_EXPORTER_OTLP_ENDPOINT", ""},
                                      {"OTEL_TRACES_SAMPLER", ""},
                                      {"REMORA_IDLE_LIMIT", " "}});
    EXPECT_THAT(loaded.warnings, IsEmpty());
    EXPECT_FALSE(loaded.config.otlp.enabled);
}

TEST(Config, TheBaseEndpointGetsTheSignalsPath) {
    for (const char* base : {"http://c:4318", "http://c:4318/"})
        EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_ENDPOINT", base}}).config.otlp.endpoint,
                  "http://c:4318/v1/traces");
    EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp?k=v"}}).config.otlp.endpoint,
              "https://c/otlp/v1/traces?k=v");
}

TEST(Config, TheTracesEndpointIsUsedAsItIs) {
    const LoadedConfig loaded = load({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318"},
                                      {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x"}});
    EXPECT_EQ(loaded.config.otlp.endpoint, "http://t:1/x");
    EXPECT_TRUE(loaded.config.otlp.enabled);
    EXPECT_EQ(loaded.config.view, View::none);
}

TEST(Config, ExportersAreAList) {
    const Config both = load({{"OTEL_TRACES_EXPORTER", "otlp, console"}}).config;
    EXPECT_TRUE(both.otlp.enabled);
    EXPECT_TRUE(both.console);
    EXPECT_EQ(both.view, View::none);
    const Config none =
        load({{"OTEL_TRACES_EXPORTER", "none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}})
            .config;
    EXPECT_FALSE(none.otlp.enabled);
    EXPECT_EQ(none.view, View::none);
}

TEST(Config, ABadValueWarnsOnceAndLeavesTheDefault) {
    const Variables bad = {
        {"OTEL_TRACES_EXPORTER", "zipkin"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"},
        {"OTEL_TRACES_SAMPLER", "Always_On"},
        {"OTEL_TRACES_SAMPLER_ARG", "half"},
        {"OTEL_BSP_MAX_QUEUE_SIZE", "-1"},
        {"OTEL_BSP_SCHEDULE_DELAY", "5s"},
        {"OTEL_SDK_DISABLED", "1"},
        {"REMORA_DISABLE", "yes"},
        {"OTEL_LOG_LEVEL", "loud"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "smoke"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "1e3"},
        {"REMORA_LANES", "99999999999999999999"},
        {"REMORA_VIEW", "film"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "no equals"},
    };
    for (const auto& [name, value] : bad) {
        const LoadedConfig loaded = load({{name, value}});
        ASSERT_EQ(loaded.warnings.size(), 1u) << name;
        EXPECT_THAT(loaded.warnings[0], HasSubstr(name));
        EXPECT_THAT(loaded.warnings[0], HasSubstr("must be"));
        EXPECT_THAT(loaded.warnings[0], Not(HasSubstr("\n")));
    }
    const LoadedConfig all = load(bad);
    EXPECT_EQ(all.warnings.size(), bad.size());
    for (const ConfigEntry& e : all.entries) EXPECT_EQ(e.origin, Origin::built_in) << e.setting;
    EXPECT_EQ(all.config.view, View::waterfall);
}

TEST(Config, AWarningDoesNotQuoteASecret) {
    const LoadedConfig loaded = load({{"OTEL_EXPORTER_OTLP_HEADERS", "topsecret"}});
    ASSERT_EQ(loaded.warnings.size(), 1u);
    EXPECT_THAT(loaded.warnings[0], Not(HasSubstr("topsecret")));
}

TEST(Config, BooleansOfTheSpecificationIgnoreCase) {
    EXPECT_TRUE(load({{"OTEL_SDK_DISABLED", "TRUE"}}).config.sdk_disabled);
    EXPECT_FALSE(load({{"OTEL_SDK_DISABLED", "1"}}).config.sdk_disabled);
    EXPECT_TRUE(load({{"REMORA_DISABLE", "1"}}).config.disabled);
    EXPECT_TRUE(load({{"REMORA_DISABLE", "true"}}).config.disabled);
}

TEST(Config, TheSamplerTakesItsArgument) {
    const Config config = load({{"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"},
                                {"OTEL_TRACES_SAMPLER_ARG", "0.25"}})
                              .config;
    EXPECT_EQ(config.sampler.kind, REMORA_SAMPLER_PARENT_RATIO);
    EXPECT_EQ(config.sampler.threshold, threshold_of_ratio(0.25));
    EXPECT_FALSE(config.sampler_forced);
}

TEST(Config, AFlagWinsInAnyOrderAndSaysSo) {
    ConfigBuilder builder;
    ASSERT_TRUE(builder.flag("sampler", "always_off"));
    ASSERT_TRUE(builder.flag("otlp.endpoint", "http://flag:1"));
    const Variables variables = {{"OTEL_TRACES_SAMPLER", "always_on"},
                                 {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:2"}};
    builder.environment([&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
    const LoadedConfig loaded = builder.build();
    EXPECT_EQ(loaded.config.sampler.kind, REMORA_SAMPLER_ALWAYS_OFF);
    EXPECT_TRUE(loaded.config.sampler_forced);
    EXPECT_EQ(loaded.config.otlp.endpoint, "http://flag:1/v1/traces");
    EXPECT_EQ(entry(loaded, "sampler").origin, Origin::flag);
}

TEST(Config, AFlagBeatsTheMoreSpecificVariable) {
    ConfigBuilder builder = builder_with({{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x"}});
    ASSERT_TRUE(builder.flag("otlp.endpoint", "http://flag:1"));
    EXPECT_EQ(builder.build().config.otlp.endpoint, "http://flag:1/v1/traces");
}

TEST(Config, AFlagsBadValueIsAnError) {
    ConfigBuilder builder;
    const Status status = builder.flag("lanes", "many");
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().text(), HasSubstr("whole number"));
    EXPECT_FALSE(builder.flag("no.such", "1"));
    EXPECT_EQ(builder.build().config.lanes, 512u);
}

TEST(Config, EntriesNameTheirSourceAndMaskSecrets) {
    const LoadedConfig loaded = load({
        {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer%20abc,x-tenant=7"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:pw@c:4318"},
    });
    EXPECT_EQ(entry(loaded, "otlp.headers").value, "authorization=***,x-tenant=***");
    EXPECT_EQ(entry(loaded, "otlp.headers").source, "OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    EXPECT_EQ(entry(loaded, "otlp.endpoint").value, "http://***@c:4318");
    EXPECT_THAT(loaded.config.otlp.headers,
                ElementsAre(Pair("authorization", "Bearer abc"), Pair("x-tenant", "7")));
}

TEST(Config, GrpcIsSaidOnceAndSentAsHttp) {
    const LoadedConfig loaded = load({{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}});
    ASSERT_EQ(loaded.warnings.size(), 1u);
    EXPECT_THAT(loaded.warnings[0], HasSubstr("grpc"));
    EXPECT_EQ(loaded.config.otlp.protocol, OtlpProtocol::http_protobuf);
    EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}}).config.otlp.protocol,
              OtlpProtocol::http_json);
}

TEST(Config, AGivenBatchSizeIsNotGrown) {
    EXPECT_EQ(load({{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"}}).config.batch.max_grown_batch_size,
              100u);
    const LoadedConfig small =
        load({{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"}, {"OTEL_BSP_MAX_QUEUE_SIZE", "10"}});
    EXPECT_EQ(small.config.batch.max_export_batch_size, 10u);
    EXPECT_EQ(small.warnings.size(), 1u);
}

TEST(Config, AViewThatWasAskedForStandsBesideADestination) {
    EXPECT_EQ(load({{"REMORA_OUTPUT", "x.jsonl"}}).config.view, View::none);
    EXPECT_EQ(load({{"REMORA_OUTPUT", "x.jsonl"}, {"REMORA_VIEW", "waterfall"}}).config.view,
              View::waterfall);
    EXPECT_EQ(load({{"REMORA_VIEW", "live"}}).config.view, View::live);
}

TEST(Config, HeaderValuesWithLineBreaksAreRefused) {
    EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aevil: 1"}}).warnings.size(), 1u);
    EXPECT_EQ(load({{"OTEL_EXPORTER_OTLP_HEADERS", "a b=c"}}).warnings.size(), 1u);
}

TEST(Config, ListsOfMethodsReplaceTheDefault) {
    EXPECT_THAT(
        load({{"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE"}}).config.http_known_methods,
        ElementsAre("GET", "PURGE"));
}

}  // namespace
}  // namespace remora
