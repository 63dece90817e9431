// SPDX-License-Identifier: Apache-2.0
#include "agent/main/run_command.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "agent/control/child_environment.h"
#include "agent/control/control_page.h"
#include "agent/control/session_server.h"
#include "agent/ingest/lane_source.h"
#include "agent/inspect/elf_target.h"
#include "agent/main/launcher.h"
#include "agent/main/messages.h"
#include "agent/main/survivors.h"
#include "agent/pipeline/pipeline.h"

namespace remora {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

int exit_code_of_exec(int error) {
    return error == ENOENT || error == ENOTDIR ? exit_not_found : exit_not_executable;
}

// What programs and agent share: two memory files and the socket that hands them out.
struct Session {
    std::unique_ptr<LaneSource> lanes;
    std::unique_ptr<ControlPage> control;
    std::unique_ptr<SessionServer> server;  // null: programs of other users are not traced
    std::string text;                       // for their environment
};

Result<Session> open_session(const Config& config, bool process_spans) {
    Session session;
    auto id = SessionId::random();
    if (!id) return id.error();
    auto file = LaneFile::create(config.lanes);
    if (!file) return file.error();
    const int lanes_fd = file->fd();
    auto control = ControlPage::create(*id, file->lanes());
    if (!control) return control.error();
    session.control = std::make_unique<ControlPage>(std::move(*control));
    session.control->publish(config, process_spans);
    LaneSourceOptions options;
    options.idle_limit_ns = std::chrono::nanoseconds(config.idle_limit).count();
    auto source = LaneSource::create(std::move(*file), options);
    if (!source) return source.error();
    session.lanes = std::move(*source);
    auto server = SessionServer::create(*id, lanes_fd, session.control->fd());
    if (server)
        session.server = std::move(*server);
    else
        spdlog::warn("programs of other users will not be traced: {}", server.error().text());
    session.text = session_text(::getpid(), lanes_fd, session.control->fd(), *id);
    return session;
}

// A program that we can't trace is not our business: we are gone before it starts.
int become_untraced(const Target& target, const RunOptions& options) {
    if (!options.quiet) say("not traced: {}", target.why);
    std::vector<std::string> words = options.command;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(target.path.c_str(), arguments.data());
    const int error = errno;
    say("cannot run {}: {}", target.path, std::strerror(error));
    return exit_code_of_exec(error);
}

// Processes that the program leaves behind are followed to their end, unless we are process 1: then
// they end with us.
void follow_survivors(Launcher& launcher, LaneSource& source,
                      const Launcher::ExitListener& listener, const RunOptions& options) {
    if (::getpid() == 1) return;
    Survivors survivors{source};
    constexpr auto longest_look = 200ms;
    // What ended with the program is seen within milliseconds; only what stays is worth a line.
    constexpr auto silent_time = 300ms;
    const auto begin = Clock::now();
    bool said = options.quiet;
    for (auto look = 1ms; const size_t count = survivors.count();
         look = std::min(2 * look, longest_look)) {
        if (!said && Clock::now() - begin > silent_time) {
            said = true;
            say("{} has ended; following {} process{} that it left behind (Ctrl-C: stop following)",
                options.command[0], count, count == 1 ? "" : "es");
        }
        if (launcher.wait_a_moment(look, listener)) return;
    }
}

// Runs the last work on a thread of its own. Exporters and files end by their deadline, but a
// terminal that is held (Ctrl-S) or a pipe that nobody empties has none: who doesn't want to wait
// for it sends a signal, and the work is left behind. Not within the first second: Ctrl-C is often
// pressed twice, and what was traced shall be seen.
void finish(Launcher& launcher, const Launcher::ExitListener& listener,
            std::function<void()> work) {
    std::packaged_task<void()> task{std::move(work)};
    const auto done = task.get_future();
    std::thread{std::move(task)}.detach();
    constexpr auto longest_look = 20ms;
    const auto begin = Clock::now();
    bool asked = false;
    for (auto look = 1ms; done.wait_for(look) != std::future_status::ready;
         look = std::min(2 * look, longest_look)) {
        asked = launcher.wait_a_moment(0ms, listener) || asked;
        if (asked && Clock::now() - begin > 1s) return;
    }
}

void report(const Pipeline& pipeline, const RunOptions& options) {
    if (options.quiet) return;
    for (const std::string& line : pipeline.losses().lines(options.verbose)) say("{}", line);
    if (!options.verbose) return;
    if (const auto counts = pipeline.exported())
        say("{} span{} exported{}", counts->exported, counts->exported == 1 ? "" : "s",
            counts->spool_spans == 0
                ? ""
                : fmt::format(", {} kept in the spool for later", counts->spool_spans));
}

int run_traced(const Target& target, const RunOptions& options, const Config& config,
               const std::string& library) {
    auto prepared = Launcher::prepare();
    if (!prepared) {
        say("{}", prepared.error().text());
        return exit_failed;
    }
    Launcher& launcher = **prepared;
    auto session = open_session(config, options.process_spans);
    if (!session) {
        say("{}", session.error().text());
        return exit_failed;
    }
    ChildEnvironment environment{::environ};
    environment.preload(library);
    environment.join_session(session->text);
    if (!options.service_name.empty()) environment.set("OTEL_SERVICE_NAME", options.service_name);
    Program program{target.path, options.command, environment.pointers()};
    if (auto spawned = launcher.spawn(program); !spawned) {
        say("{}", spawned.error().text());
        return exit_failed;
    }

    // From here on there may be threads.
    auto created = Pipeline::create(config, options.record_file);
    if (!created) {
        say("{}", created.error().text());
        return exit_usage;
    }
    Pipeline& pipeline = **created;
    if (session->server) session->server->start();
    LaneSource& source = pipeline.follow(std::move(session->lanes), *session->control);
    const auto deadline = [&config] { return Clock::now() + config.drain_timeout; };
    if (auto running = launcher.go(); !running) {
        pipeline.stop(deadline());
        say("{}", running.error().text());
        return exit_code_of_exec(running.error().number);
    }
    launcher.release_inherited();
    const Launcher::ExitListener listener = [&source](int pid, int exit_code) {
        source.note_exit(pid, exit_code);
    };
    const ProgramEnd end = launcher.wait_for_program(listener);
    follow_survivors(launcher, source, listener, options);
    finish(launcher, listener, [&] {
        if (session->server) session->server->stop();
        pipeline.stop(deadline());
        report(pipeline, options);
    });
    Launcher::leave(end);  // nothing is destroyed: the work may still use it
}

}  // namespace

int run_command(const RunOptions& options, const LoadedConfig& loaded) {
    const Target target = find_target(options.command[0]);
    if (target.kind == TargetKind::missing || target.kind == TargetKind::not_executable) {
        say("{}", target.why);
        return target.kind == TargetKind::missing ? exit_not_found : exit_not_executable;
    }
    if (target.kind != TargetKind::traceable) return become_untraced(target, options);
    const auto library = find_library();
    if (!library) {
        say("{}", library.error().text());
        return exit_failed;
    }
    return run_traced(target, options, loaded.config, *library);
}

}  // namespace remora
