// SPDX-License-Identifier: Apache-2.0
#include "agent/main/preload_trial.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/result.h"
#include "agent/control/child_environment.h"
#include "agent/control/control_page.h"
#include "agent/control/session_server.h"
#include "agent/ingest/lane_file.h"
#include "agent/inspect/elf_target.h"

namespace remora {

namespace {

constexpr uint32_t trial_lanes = 4;

// Its exit status, or what went wrong.
Result<int> run_and_wait(const std::string& path, const std::vector<char*>& environment) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    std::string name = path;
    char* arguments[] = {name.data(), nullptr};
    pid_t child = 0;
    const int error =
        ::posix_spawn(&child, path.c_str(), &actions, nullptr, arguments, environment.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return Error{"cannot start " + path, error};
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return Error{"cannot wait for " + path, errno};
    return status;
}

std::string try_program(const std::string& library, LaneFile& lanes, ControlPage& control,
                        const SessionId& id) {
    const Target target = find_target("true");
    if (target.kind != TargetKind::traceable) return "cannot be tried: " + target.why;
    const char* const nothing[] = {nullptr};
    ChildEnvironment environment{nothing};  // what the user has set must not decide this
    environment.preload(library);
    environment.join_session(session_text(::getpid(), lanes.fd(), control.fd(), id));
    const auto ended = run_and_wait(target.path, environment.pointers());
    if (!ended) return ended.error().text();
    if (!WIFEXITED(*ended) || WEXITSTATUS(*ended) != 0)
        return target.path + " fails with the library in it";
    for (uint32_t index = 0; index < lanes.lanes(); ++index) {
        const uint64_t owner = __atomic_load_n(&lanes.lane(index).head.owner, __ATOMIC_ACQUIRE);
        if (REMORA_LANE_STATE(owner) == REMORA_LANE_CLAIMED) return {};
    }
    return target.path + " was started with the library, but did not find its agent";
}

}  // namespace

PreloadTrial try_preload(const std::string& library) {
    PreloadTrial out;
    const auto failed = [&out](const Error& error) {
        out.shared_memory_problem = error.text();
        return out;
    };
    const auto id = SessionId::random();
    if (!id) return failed(id.error());
    auto lanes = LaneFile::create(trial_lanes);
    if (!lanes) return failed(lanes.error());
    if (!lanes->offer(0)) return failed(Error{"no memory for a lane (128 KiB)", errno});
    auto control = ControlPage::create(*id, lanes->lanes());
    if (!control) return failed(control.error());
    Config config;  // the defaults: everything is recorded
    control->publish(config, true);
    control->beat();
    if (const auto server = SessionServer::create(*id, lanes->fd(), control->fd()); !server)
        out.other_users_problem = server.error().text();
    if (!library.empty()) out.preload_problem = try_program(library, *lanes, *control, *id);
    return out;
}

}  // namespace remora
