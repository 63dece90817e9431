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
        {"OTEL_TRACES_EXPORTER", "jaeger"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "collector"},
        {"OTEL_TRACES_SAMPLER", "jaeger_remote"},
        {"OTEL_PROPAGATORS", "smoke"},
        {"OTEL_RESOURCE_ATTRIBUTES", "team"},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT", "many"},
        {"OTEL_SPAN_EVENT_COUNT_LIMIT", "-1"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
        {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"},
        {"OTEL_EXPORTER_OTLP_INSECURE", "1"},
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

TEST(Config, AWarningSaysWhatIsUsedInstead) {
    EXPECT_THAT(
        load({{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"}}).warnings,
        ElementsAre("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: \"soon\" must be a whole number from "
                    "0 to 86400000 (milliseconds); using 10000"));
    const LoadedConfig general =
        load({{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "7"}});
    EXPECT_THAT(general.warnings, ElementsAre(HasSubstr("; using OTEL_EXPORTER_OTLP_TIMEOUT")));
    EXPECT_EQ(general.config.otlp.timeout.count(), 7);
    EXPECT_THAT(
        load({{"OTEL_CONFIG_FILE", "/etc/otel.yaml"}}).warnings,
        ElementsAre("OTEL_CONFIG_FILE: \"/etc/otel.yaml\" is a configuration file, which is "
                    "not supported; ignored"));
    EXPECT_THAT(load({{"OTEL_EXPERIMENTAL_CONFIG_FILE", "x"}}).warnings, testing::SizeIs(1));
    EXPECT_THAT(load({{"OTEL_ENTITIES", "x"}}).warnings, testing::SizeIs(1));
}

TEST(Config, AVariableOfSeveralSettingsWarnsOnce) {
    EXPECT_THAT(load({{"OTEL_ATTRIBUTE_COUNT_LIMIT", "many"}}).warnings, testing::SizeIs(1));
}

TEST(Config, UrlsInWarningsAndEntriesKeepTheirSecrets) {
    const LoadedConfig loaded =
        load({{"OTEL_EXPORTER_OTLP_ENDPOINT", "me:pw@c/4318"},
              {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:pw@c/v1/traces?key=s3cret&x"}});
    ASSERT_EQ(loaded.warnings.size(), 1u);
    EXPECT_THAT(loaded.warnings[0], HasSubstr("\"***@c/4318\""));
    EXPECT_EQ(entry(loaded, "otlp.traces_endpoint").value, "http://***@c/v1/traces?key=***&x");
    EXPECT_EQ(loaded.config.otlp.endpoint, "http://me:pw@c/v1/traces?key=s3cret&x");
}

TEST(Config, ResourceAttributesAreLookedAtAtTheStart) {
    const LoadedConfig good = load({{"OTEL_RESOURCE_ATTRIBUTES", "team=core,k=a%2Cb"}});
    EXPECT_THAT(good.warnings, IsEmpty());
    EXPECT_EQ(good.config.resource_attributes, "team=core,k=a%2Cb");
    const LoadedConfig bad = load({{"OTEL_RESOURCE_ATTRIBUTES", "team=core,k=%zz"}});
    ASSERT_EQ(bad.warnings.size(), 1u);
    EXPECT_THAT(bad.warnings[0], HasSubstr("k=%zz"));
    EXPECT_EQ(bad.config.resource_attributes, "");
    EXPECT_EQ(bad.config.refused_resource_attributes, "team=core,k=%zz");
}

TEST(Config, LimitsAndTheirGeneralForms) {
    const LoadedConfig none = load({});
    EXPECT_EQ(none.config.limits.attribute_value_length, SpanLimits::unlimited);
    EXPECT_EQ(none.config.limits.attributes, 128u);
    const SpanLimits general =
        load({{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"}, {"OTEL_ATTRIBUTE_COUNT_LIMIT", "11"}})
            .config.limits;
    EXPECT_EQ(general.attribute_value_length, 10u);
    EXPECT_EQ(general.attributes, 11u);
    EXPECT_EQ(general.event_attributes, 11u);
    EXPECT_EQ(general.link_attributes, 11u);
    EXPECT_EQ(general.events, 128u);
    const SpanLimits own = load({{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"},
                                 {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0"},
                                 {"OTEL_ATTRIBUTE_COUNT_LIMIT", "11"},
                                 {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "12"},
                                 {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "13"},
                                 {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "14"},
                                 {"OTEL_SPAN_EVENT_COUNT_LIMIT", "15"},
                                 {"OTEL_SPAN_LINK_COUNT_LIMIT", "16"}})
                               .config.limits;
    EXPECT_EQ(own.attribute_value_length, 0u);
    EXPECT_EQ(own.attributes, 12u);
    EXPECT_EQ(own.event_attributes, 13u);
    EXPECT_EQ(own.link_attributes, 14u);
    EXPECT_EQ(own.events, 15u);
    EXPECT_EQ(own.links, 16u);
}

TEST(Config, Propagators) {
    for (const char* text : {"", "tracecontext", "tracecontext,baggage", "TraceContext"}) {
        const LoadedConfig loaded = load({{"OTEL_PROPAGATORS", text}});
        EXPECT_TRUE(loaded.config.propagate) << text;
        EXPECT_THAT(loaded.warnings, IsEmpty()) << text;
    }
    for (const char* text : {"none", "baggage"}) {
        const LoadedConfig loaded = load({{"OTEL_PROPAGATORS", text}});
        EXPECT_FALSE(loaded.config.propagate) << text;
        EXPECT_THAT(loaded.warnings, IsEmpty()) << text;
    }
    const LoadedConfig others = load({{"OTEL_PROPAGATORS", "b3,baggage,jaeger"}});
    EXPECT_TRUE(others.config.propagate);
    EXPECT_THAT(
        others.warnings,
        ElementsAre("OTEL_PROPAGATORS: \"b3,baggage,jaeger\" names b3, jaeger, which is not "
                    "supported; using tracecontext"));
}

TEST(Config, EnumerationsAreReadInAnyCase) {
    const LoadedConfig loaded = load({{"OTEL_TRACES_SAMPLER", "Always_Off"},
                                      {"OTEL_TRACES_EXPORTER", "OTLP,Console"},
                                      {"OTEL_EXPORTER_OTLP_PROTOCOL", "HTTP/JSON"},
                                      {"OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"},
                                      {"OTEL_LOG_LEVEL", "DEBUG"}});
    EXPECT_THAT(loaded.warnings, IsEmpty());
    EXPECT_EQ(loaded.config.sampler.kind, REMORA_SAMPLER_ALWAYS_OFF);
    EXPECT_TRUE(loaded.config.otlp.enabled);
    EXPECT_TRUE(loaded.config.console);
    EXPECT_EQ(loaded.config.otlp.protocol, OtlpProtocol::http_json);
    EXPECT_EQ(loaded.config.otlp.compression, Compression::gzip);
    EXPECT_EQ(loaded.config.log_level, "debug");
}

TEST(Config, ATimeoutOfZeroIsNone) {
    const Config config =
        load({{"OTEL_EXPORTER_OTLP_TIMEOUT", "0"}, {"OTEL_BSP_EXPORT_TIMEOUT", "0"}}).config;
    EXPECT_GE(config.otlp.timeout, std::chrono::hours(24));
    EXPECT_GE(config.batch.export_timeout, std::chrono::hours(24));
}

TEST(Config, HeadersThatTheExporterSetsAreLeftOut) {
    const LoadedConfig loaded =
        load({{"OTEL_EXPORTER_OTLP_HEADERS", "content-type=text/plain,x-tenant=7"}});
    ASSERT_EQ(loaded.warnings.size(), 1u);
    EXPECT_THAT(loaded.warnings[0], HasSubstr("content-type"));
    EXPECT_THAT(loaded.warnings[0], Not(HasSubstr("text/plain")));
    EXPECT_THAT(loaded.config.otlp.headers, ElementsAre(Pair("x-tenant", "7")));
}

TEST(Config, FilesOfCertificatesAreLookedAtAtTheStart) {
    const Variables good = {{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/proc/self/status"},
                            {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/proc/self/status"}};
    EXPECT_THAT(load(good).warnings, IsEmpty());
    EXPECT_EQ(load(good).config.otlp.client_key, "/proc/self/status");
    const LoadedConfig key_alone = load({{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/proc/self/status"}});
    EXPECT_THAT(key_alone.warnings, testing::SizeIs(1));
    EXPECT_EQ(key_alone.config.otlp.client_key, "");
}

TEST(Config, NamedHeaders) {
    const auto loaded = load({
        {"OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS", "X-Tenant, x-cache"},
        {"OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS", "X-Cache"},
    });
    EXPECT_THAT(loaded.warnings, IsEmpty());
    const auto& fields = loaded.config.named_fields;
    ASSERT_EQ(fields.size(), 2u);
    EXPECT_STREQ(fields[0].name, "x-tenant");
    EXPECT_EQ(fields[0].size, 8);
    EXPECT_EQ(fields[0].where, REMORA_NAMED_SERVER_REQUEST);
    EXPECT_STREQ(fields[1].name, "x-cache");
    EXPECT_EQ(fields[1].where, REMORA_NAMED_SERVER_REQUEST | REMORA_NAMED_CLIENT_RESPONSE);

    for (const std::string& bad : {std::string("x tenant"), std::string(57, 'n')})
        EXPECT_THAT(
            load({{"OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS", bad}}).warnings,
            ElementsAre(HasSubstr("must be")));
    std::string many;
    for (int i = 0; i < 40; ++i) many += "x-" + std::to_string(i) + ",";
    const auto too_many = load({{"OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS", many}});
    EXPECT_THAT(too_many.warnings, testing::SizeIs(1));
    EXPECT_EQ(too_many.config.named_fields.size(), REMORA_NAMED_FIELDS_MAX);
}

TEST(Config, OldConventionsAreNotSpoken) {
    EXPECT_THAT(load({{"OTEL_SEMCONV_STABILITY_OPT_IN", "http,database"}}).warnings, IsEmpty());
    EXPECT_THAT(load({{"OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup,database/dup"}}).warnings,
                ElementsAre(HasSubstr("http/dup")));
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
