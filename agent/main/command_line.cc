// SPDX-License-Identifier: Apache-2.0
#include "agent/main/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "agent/base/result.h"

namespace remora {

namespace {

// CLI11 knows nothing of the program behind the flags.
class Help : public CLI::Formatter {
public:
    explicit Help(std::string usage) : usage_(std::move(usage)) { column_width(34); }
    std::string make_usage(const CLI::App*, std::string) const override {
        return "Usage: " + usage_ + "\n\n";
    }

private:
    std::string usage_;
};

// What the flags of one run say, as texts: the configuration checks them.
struct Flags {
    std::string output;
    std::string live;
    std::string otlp;
    std::string spool;
    std::string sampler;
    std::string sample;
    std::string service;
    bool live_given = false;
};

void add_output_flags(CLI::App& app, Flags& flags, RunOptions& run) {
    app.add_option("--output", flags.output, "write spans to FILE, OTLP/JSON, one request a line")
        ->type_name("FILE");
    app.add_option("--live", flags.live, "show traces while they finish, on stderr or in FILE")
        ->type_name("[=FILE]")
        ->expected(0, 1);
    app.add_option("--otlp", flags.otlp, "send spans to the collector at URL (OTLP/HTTP)")
        ->type_name("URL");
    app.add_option("--spool", flags.spool, "keep in DIR what the collector can't take now")
        ->type_name("DIR");
    app.add_option("--service", flags.service, "service.name of the program's spans")
        ->type_name("NAME");
    app.add_flag("--quiet,-q", run.quiet, "say nothing but errors");
    app.add_flag("--verbose,-v", run.verbose, "say what was exported, and all that was left alone");
}

void add_run_flags(CLI::App& app, Flags& flags, RunOptions& run, bool& no_process_spans) {
    add_output_flags(app, flags, run);
    app.add_option("--sampler", flags.sampler,
                   "always_on, always_off, traceidratio, parentbased_always_on, ...")
        ->type_name("NAME[=ARGUMENT]");
    app.add_option("--sample", flags.sample,
                   "record this part of the traces that begin here, 0 to 1")
        ->type_name("RATIO");
    app.add_option("--record", run.record_file, "keep what programs say, for remora replay")
        ->type_name("FILE");
    app.add_flag("--no-process-spans", no_process_spans, "no span for a whole program run");
    app.footer(
        "Everything after the flags is the program and its arguments; -- may stand between.\n");
}

// A flag's value on its way into a setting.
struct Given {
    const char* flag;
    const char* setting;
    std::string value;
};

Status apply(const Flags& flags, bool quiet, ConfigBuilder& config) {
    const size_t equals = flags.sampler.find('=');
    if (equals == 0 || (equals != std::string::npos && equals + 1 == flags.sampler.size()))
        return Error{"--sampler: \"" + flags.sampler + "\" must be NAME or NAME=ARGUMENT"};
    std::vector<Given> given = {
        {"--output", "output", flags.output},
        {"--otlp", "otlp.endpoint", flags.otlp},
        {"--spool", "spool.directory", flags.spool},
        {"--service", "service.name", flags.service},
        {"--live", "view.file", flags.live},
        {"--sample", "sampler", flags.sample.empty() ? "" : "parentbased_traceidratio"},
        {"--sample", "sampler.argument", flags.sample},
        {"--sampler", "sampler", flags.sampler.substr(0, equals)},
    };
    if (equals != std::string::npos)
        given.push_back({"--sampler", "sampler.argument", flags.sampler.substr(equals + 1)});
    if (flags.live_given) given.push_back({"--live", "view", "live"});
    if (quiet && !flags.live_given) given.push_back({"--quiet", "view", "none"});
    for (const Given& one : given) {
        if (one.value.empty()) continue;
        if (auto done = config.flag(one.setting, one.value); !done)
            return Error{std::string(one.flag) + ": " + done.error().text()};
    }
    return Done{};
}

size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = std::exchange(row[0], i);
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
        }
    }
    return row[b.size()];
}

// "--otlp" for "--oltp", "--verbose" for "--verb"; empty when nothing is near.
std::string nearest_flag(const CLI::App& app, const std::string& flag) {
    std::string best;
    size_t best_distance = 4;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : option->get_lnames()) {
            const bool abbreviated =
                flag.size() > 2 && ("--" + name).compare(0, flag.size(), flag) == 0;
            const size_t distance = abbreviated ? 0 : edit_distance("--" + name, flag);
            if (distance >= best_distance) continue;
            best_distance = distance;
            best = "--" + name;
        }
    return best;
}

Error unknown_flag(const CLI::App& app, const std::string& flag) {
    const std::string near = nearest_flag(app, flag);
    return Error{"unknown flag " + flag + (near.empty() ? "" : "; did you mean " + near + "?") +
                 " (" + app.get_name() + " --help lists all)"};
}

// Where the program begins: after "--", or at the first word that is neither a flag nor a flag's
// value. From there on nothing is ours.
Result<size_t> find_program(const CLI::App& app, const std::vector<std::string>& words) {
    size_t at = 0;
    while (at < words.size()) {
        const std::string& word = words[at];
        if (word == "--") return at + 1;
        if (word.size() < 2 || word[0] != '-') return at;
        const size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        // Several short flags in one word, such as -qv, have no values among ours.
        const bool is_long = word[1] == '-';
        const CLI::Option* option = app.get_option_no_throw(is_long ? name : word.substr(0, 2));
        if (option == nullptr) return unknown_flag(app, name);
        const bool takes_next = equals == std::string::npos && option->get_items_expected_min() > 0;
        at += takes_next ? 2 : 1;
    }
    return words.size();
}

Status parse(CLI::App& app, std::vector<std::string> words, CommandLine& out) {
    try {
        std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
        app.parse(words);
    } catch (const CLI::CallForHelp&) {
        out.subcommand = Subcommand::help;
        out.help = app.help();
    } catch (const CLI::ExtrasError&) {
        for (const std::string& extra : app.remaining())
            if (extra.size() > 1 && extra[0] == '-') return unknown_flag(app, extra);
        return Error{"too many arguments: " + app.remaining()[0] + " (see " + app.get_name() +
                     " --help)"};
    } catch (const CLI::ArgumentMismatch& error) {
        // "--output: 1 required FILE missing"
        const std::string what = error.what();
        const bool missing = what.find(" missing") != std::string::npos;
        return Error{(missing ? what.substr(0, what.find(':')) + " needs a value" : what) +
                     " (see " + app.get_name() + " --help)"};
    } catch (const CLI::Error& error) {
        return Error{std::string(error.what()) + " (see " + app.get_name() + " --help)"};
    }
    return Done{};
}

constexpr const char* overview =
    "Remora traces programs that nobody changed.\n"
    "\n"
    "  remora run [flags] [--] PROGRAM [ARGUMENTS]   run a program and trace it\n"
    "  remora replay FILE [flags]                    export what was recorded earlier\n"
    "  remora ps                                     which processes are traced, which not, and "
    "why\n"
    "  remora inspect PID                            all that is known of one process\n"
    "  remora doctor                                 what this machine allows\n"
    "  remora config                                 show the settings and where they come from\n"
    "  remora config --reference                     list all settings and what they mean\n"
    "  remora version\n"
    "\n"
    "remora run --help lists the flags of a command, here of run.\n";

Result<CommandLine> parse_run(const std::vector<std::string>& words, CommandLine out) {
    CLI::App app{"Runs a program and its children with tracing.", "remora run"};
    app.formatter(std::make_shared<Help>("remora run [flags] [--] PROGRAM [ARGUMENTS]"));
    Flags flags;
    bool no_process_spans = false;
    add_run_flags(app, flags, out.run, no_process_spans);
    const auto program = find_program(app, words);
    if (!program) return program.error();
    const auto begin = words.begin() + static_cast<ptrdiff_t>(std::min(*program, words.size()));
    std::vector<std::string> own{words.begin(), begin};
    if (!own.empty() && own.back() == "--") own.pop_back();
    if (auto parsed = parse(app, own, out); !parsed) return parsed.error();
    if (out.subcommand == Subcommand::help) return out;
    out.run.command.assign(begin, words.end());
    if (out.run.command.empty())
        return Error{"which program? remora run [flags] -- PROGRAM [ARGUMENTS]"};
    flags.live_given = app.count("--live") > 0;
    out.run.process_spans = !no_process_spans;
    out.run.service_name = flags.service;
    if (auto applied = apply(flags, out.run.quiet, out.config); !applied) return applied.error();
    return out;
}

Result<CommandLine> parse_replay(const std::vector<std::string>& words, CommandLine out) {
    CLI::App app{"Exports a recording as if its programs ran now.", "remora replay"};
    app.formatter(std::make_shared<Help>("remora replay FILE [flags]"));
    Flags flags;
    add_output_flags(app, flags, out.run);
    app.add_option("FILE", out.replay_file, "made by remora run --record FILE")
        ->required()
        ->type_name("");
    if (auto parsed = parse(app, words, out); !parsed) return parsed.error();
    if (out.subcommand == Subcommand::help) return out;
    flags.live_given = app.count("--live") > 0;
    if (auto applied = apply(flags, out.run.quiet, out.config); !applied) return applied.error();
    return out;
}

Result<CommandLine> parse_ps(const std::vector<std::string>& words, CommandLine out) {
    CLI::App app{"Lists the processes of every remora run: is each traced, and if not, why?",
                 "remora ps"};
    app.formatter(std::make_shared<Help>("remora ps [flags]"));
    app.add_flag("--all,-a", out.ps.all, "list every process, not only those of remora run");
    app.add_flag("--json", out.ps.json, "write JSON");
    app.footer(
        "OPEN counts requests in flight, LOST what was lost or left alone: remora inspect PID says "
        "what.\n");
    if (auto parsed = parse(app, words, out); !parsed) return parsed.error();
    return out;
}

Result<CommandLine> parse_inspect(const std::vector<std::string>& words, CommandLine out) {
    CLI::App app{
        "Says whether a process is traced, what keeps Remora from it, and what would help.",
        "remora inspect"};
    app.formatter(std::make_shared<Help>("remora inspect PID [flags]"));
    std::string pid;
    app.add_option("PID", pid, "number of the process, see remora ps")->required()->type_name("");
    app.add_flag("--json", out.inspect.json, "write JSON");
    app.footer("Exit status: 0 traced, 1 not or only in part, 2 no such process.\n");
    if (auto parsed = parse(app, words, out); !parsed) return parsed.error();
    if (out.subcommand == Subcommand::help) return out;
    const auto [end, error] = std::from_chars(pid.data(), pid.data() + pid.size(), out.inspect.pid);
    if (error != std::errc{} || end != pid.data() + pid.size() || out.inspect.pid <= 0)
        return Error{pid + " is not the number of a process; remora ps lists them"};
    return out;
}

Result<CommandLine> parse_doctor(const std::vector<std::string>& words, CommandLine out) {
    CLI::App app{"Tries what this machine allows, and says what to do about what it does not.",
                 "remora doctor"};
    app.formatter(std::make_shared<Help>("remora doctor [flags]"));
    app.add_flag("--json", out.doctor.json, "write JSON");
    app.footer(
        "The collector of OTEL_EXPORTER_OTLP_ENDPOINT is asked, too, where it is set.\n"
        "Exit status: 0 programs can be traced here, 1 something is missing.\n");
    if (auto parsed = parse(app, words, out); !parsed) return parsed.error();
    return out;
}

bool asks_for_help(const std::string& word) {
    return word == "--help" || word == "-h" || word == "help";
}

Error unknown_command(const std::string& word) {
    for (const char* command : {"run", "replay", "ps", "inspect", "doctor", "config", "version"})
        if (edit_distance(word, command) == 1)
            return Error{"unknown command " + word + "; did you mean remora " + command + "?"};
    return Error{"unknown command " + word + "; to trace a program: remora run -- " + word};
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                       const ConfigBuilder::Environment& environment) {
    CommandLine out;
    out.config.environment(environment);
    const std::string first = arguments.empty() ? "--help" : arguments[0];
    const std::vector<std::string> words{arguments.begin() + (arguments.empty() ? 0 : 1),
                                         arguments.end()};
    const bool version = first == "version" || first == "--version";
    if (asks_for_help(first) ||
        ((version || first == "config") && !words.empty() && asks_for_help(words[0]))) {
        out.help = overview;
        return out;
    }
    if (version || first == "config") {
        out.subcommand = version ? Subcommand::version : Subcommand::config;
        if (words.empty()) return out;
        out.reference = !version && words.size() == 1 && words[0] == "--reference";
        if (out.reference) return out;
        return Error{"remora " + first + " takes no arguments" +
                     (version ? "" : " but --reference")};
    }
    if (first == "run") {
        out.subcommand = Subcommand::run;
        return parse_run(words, std::move(out));
    }
    if (first == "replay") {
        out.subcommand = Subcommand::replay;
        return parse_replay(words, std::move(out));
    }
    if (first == "ps") {
        out.subcommand = Subcommand::ps;
        return parse_ps(words, std::move(out));
    }
    if (first == "inspect") {
        out.subcommand = Subcommand::inspect;
        return parse_inspect(words, std::move(out));
    }
    if (first == "doctor") {
        out.subcommand = Subcommand::doctor;
        return parse_doctor(words, std::move(out));
    }
    if (!first.empty() && first[0] == '-')
        return Error{"unknown flag " + first + " (see remora --help)"};
    return unknown_command(first);
}

}  // namespace remora
