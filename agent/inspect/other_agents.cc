// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/other_agents.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace remora {

namespace {

struct Sign {
    const char* agent;
    std::string_view text;  // lower case; part of a path, an option or a module's name
};

// From the agents' own installation instructions. Whole components where a word alone could be
// anybody's folder.
constexpr Sign signs[] = {
    {"OpenTelemetry injector", "libotelinject"},
    {"OpenTelemetry injector", "opentelemetry-injector"},
    {"OpenTelemetry Java agent", "opentelemetry-javaagent"},
    {"OpenTelemetry for Node.js", "@opentelemetry/"},
    {"OpenTelemetry for Python", "opentelemetry/instrumentation/auto_instrumentation"},
    {"OpenTelemetry for Python", "opentelemetry-instrument"},
    {"OpenTelemetry for .NET", "opentelemetry.autoinstrumentation"},
    {"OpenTelemetry for PHP", "/opentelemetry.so"},
    {"Splunk", "splunk-otel"},
    {"Odigos", "/odigos/"},
    {"Datadog", "/datadog-apm"},
    {"Datadog", "dd-java-agent"},
    {"Datadog", "dd-trace"},
    {"Datadog", "ddtrace"},
    {"Datadog", "datadog.trace"},
    {"Dynatrace", "liboneagent"},
    {"Dynatrace", "/oneagent/"},
    {"New Relic", "/newrelic/"},
    {"New Relic", "newrelic-admin"},
    {"New Relic", "newrelic.jar"},
    {"New Relic", "newrelic-x"},
    {"AppDynamics", "libappdynamics"},
    {"AppDynamics", "/appdynamics/"},
    {"AppDynamics", "appdynamics-"},
    {"AppScope", "/libscope.so"},
    {"Elastic APM", "elastic-apm"},
    {"Elastic APM", "elasticapm"},
    {"Elastic APM", "elastic_apm"},
    {"Instana", "libinstana"},
    {"Instana", "instana-"},
    {"Instana", "@instana/"},
    {"SkyWalking", "skywalking-agent"},
};

// Variables by which a runtime loads something before the program. Not LD_PRELOAD: what that has
// loaded is mapped, and what it has not is not inside.
constexpr std::string_view loading_variables[] = {
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",     "_JAVA_OPTIONS",
    "NODE_OPTIONS",      "PYTHONPATH",           "RUBYOPT",
    "PHP_INI_SCAN_DIR",  "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER_PATH",
};

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool loads_something(std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('='));
    return std::find(std::begin(loading_variables), std::end(loading_variables), name) !=
           std::end(loading_variables);
}

// Options of java and node that load something first, and the launchers of Python agents, which are
// the program or, behind an interpreter, the script. Other arguments are the program's own data.
bool may_load(const std::vector<std::string>& arguments, size_t index) {
    const std::string_view argument = arguments[index];
    if (index < 2) return true;
    const std::string_view before = arguments[index - 1];
    for (const std::string_view option : {"-r", "--require", "--import", "--loader"})
        if (before == option || argument.substr(0, option.size() + 1) == std::string(option) + '=')
            return true;
    return argument.substr(0, 11) == "-javaagent:" || argument.substr(0, 11) == "-agentpath:";
}

class Collector {
public:
    // false: nothing that is known.
    bool look_at(const std::string& text) {
        const std::string wanted = lower(text);
        bool found = false;
        for (const Sign& sign : signs) {
            if (wanted.find(sign.text) == std::string::npos) continue;
            add(sign.agent, text);
            found = true;
        }
        return found;
    }
    void add(const std::string& agent, const std::string& evidence) {
        for (const OtherAgent& known : found_)
            if (known.name == agent) return;
        found_.push_back({agent, evidence});
    }
    std::vector<OtherAgent> take() { return std::move(found_); }

private:
    std::vector<OtherAgent> found_;
};

// Java agents that nobody listed here.
void name_java_agent(const std::string& text, Collector& collector) {
    const size_t at = text.find("-javaagent:");
    if (at == std::string::npos) return;
    std::string jar = text.substr(at + 11);
    jar = jar.substr(0, jar.find_first_of("= \t"));
    collector.add("Java agent " + jar.substr(jar.find_last_of('/') + 1), text);
}

void look_at_option(const std::string& text, Collector& collector) {
    if (!collector.look_at(text)) name_java_agent(text, collector);
}

}  // namespace

std::vector<OtherAgent> find_other_agents(const std::vector<std::string>& mapped_paths,
                                          const std::vector<std::string>& variables,
                                          const std::vector<std::string>& arguments) {
    Collector collector;
    for (const std::string& path : mapped_paths) collector.look_at(path);
    for (const std::string& variable : variables)
        if (loads_something(variable)) look_at_option(variable, collector);
    for (size_t i = 0; i < arguments.size(); ++i)
        if (may_load(arguments, i)) look_at_option(arguments[i], collector);
    return collector.take();
}

}  // namespace remora
