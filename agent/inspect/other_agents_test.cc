// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/other_agents.h"

#include <gmock/gmock.h>

namespace remora {
namespace {

using Texts = std::vector<std::string>;

std::string found(const Texts& paths, const Texts& variables = {}, const Texts& arguments = {}) {
    std::string names;
    for (const OtherAgent& agent : find_other_agents(paths, variables, arguments))
        names += (names.empty() ? "" : ", ") + agent.name;
    return names;
}

TEST(OtherAgents, AreKnownByTheirLibraries) {
    EXPECT_EQ(found({"/usr/lib/opentelemetry/libotelinject.so"}), "OpenTelemetry injector");
    EXPECT_EQ(found({"/opt/datadog-packages/datadog-apm-inject/stable/inject/launcher.preload.so"}),
              "Datadog");
    EXPECT_EQ(found({"/opt/dynatrace/oneagent/agent/lib64/liboneagentproc.so"}), "Dynatrace");
    EXPECT_EQ(found({"/usr/lib/python3/newrelic/core/_thread_utilization.so"}), "New Relic");
    EXPECT_EQ(found({"/opt/appdynamics/libappdynamics_native_sdk.so"}), "AppDynamics");
    EXPECT_EQ(found({"/usr/lib/appscope/1.4/libscope.so"}), "AppScope");
    EXPECT_EQ(found({"/opt/elastic-apm/libelastic_apm_profiler.so"}), "Elastic APM");
    EXPECT_EQ(found({"/opt/instana/libinstana_init.so"}), "Instana");
}

TEST(OtherAgents, AreKnownByWhatLoadsThem) {
    EXPECT_EQ(found({}, {"JAVA_TOOL_OPTIONS=-javaagent:/otel/opentelemetry-javaagent.jar"}),
              "OpenTelemetry Java agent");
    EXPECT_EQ(
        found({}, {"NODE_OPTIONS=--require @opentelemetry/auto-instrumentations-node/register"}),
        "OpenTelemetry for Node.js");
    EXPECT_EQ(found({}, {"PYTHONPATH=/x/ddtrace/bootstrap"}), "Datadog");
    EXPECT_EQ(
        found({}, {}, {"/usr/bin/java", "-Xmx1g", "-javaagent:/opt/dd-java-agent.jar", "-jar"}),
        "Datadog");
    EXPECT_EQ(found({}, {}, {"java", "-ea", "-javaagent:/opt/own.jar=x=y", "-jar", "a.jar"}),
              "Java agent own.jar");
    EXPECT_EQ(found({}, {}, {"node", "app.js", "-r", "dd-trace/init"}), "Datadog");
    EXPECT_EQ(found({}, {}, {"python3", "/usr/local/bin/opentelemetry-instrument", "app.py"}),
              "OpenTelemetry for Python");
}

TEST(OtherAgents, AreNamedOnce) {
    EXPECT_EQ(found({"/x/ddtrace/a.so", "/x/ddtrace/b.so"}, {"PYTHONPATH=/x/ddtrace/bootstrap"}),
              "Datadog");
    EXPECT_EQ(
        found({"/tmp/dd-java-agent.jar"}, {}, {"java", "-x", "-javaagent:/opt/dd-java-agent.jar"}),
        "Datadog");
}

TEST(OtherAgents, AreNotSeenWhereTheyAreOnlyMentioned) {
    EXPECT_EQ(found({"/usr/lib/libc.so.6", "/home/instana/x.so", "/srv/appdynamics.txt"}), "");
    EXPECT_EQ(found({}, {"EDITOR=ddtrace", "LD_PRELOAD=/gone/libscope.so"}), "");
    EXPECT_EQ(found({}, {}, {"cat", "-n", "-v", "/opt/dd-java-agent.jar"}), "");
    EXPECT_EQ(found({}), "");
}

}  // namespace
}  // namespace remora
