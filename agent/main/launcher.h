// SPDX-License-Identifier: Apache-2.0
// Runs the traced program as our child so that nobody can tell: same process group, session and
// terminal, its own signal mask and dispositions, our exit its exit.
//
//   prepare()            before any thread: blocks all signals, notes what was inherited
//   spawn()              makes the program's process, which waits; then threads may be started
//   go()                 the program runs
//   release_inherited()  lets go of the descriptors that readers of pipes wait for
//   wait_for_program()   relays signals and stops until it has ended
//   wait_a_moment()      for what comes after; says whether the user wants us to go
//   leave()              ends as the program did
//
// Signals: the terminal's go to the whole group, so the program has them; one that was sent to us
// alone is passed on (see GroupCanary). When the program stops, we stop. Main thread only.
#pragma once

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"
#include "agent/main/group_canary.h"

namespace remora {

struct Program {
    std::string path;
    std::vector<std::string> arguments;  // with argv[0]
    std::vector<char*> environment;      // NULL-ended; outlives spawn()
};

struct ProgramEnd {
    int exit_code = 0;
    int signal = 0;  // that killed it; 0: it exited
};

class Launcher {
public:
    // Told of every process that we wait for, before its number can be given to another one.
    using ExitListener = std::function<void(int pid, int exit_code)>;

    static Result<std::unique_ptr<Launcher>> prepare();

    Result<pid_t> spawn(Program& program);
    // The error's number is exec's errno. A launcher that is destroyed without go() ends the
    // process before it becomes the program.
    Status go();

    // Standard input and output become /dev/null, whatever else was open when we started is closed.
    // Standard error stays: it is where we speak.
    void release_inherited();

    ProgramEnd wait_for_program(const ExitListener& listener);
    // true: a signal came that asks us to end (INT, TERM, HUP, QUIT).
    bool wait_a_moment(std::chrono::milliseconds time, const ExitListener& listener);

    // Destroys and flushes nothing: other threads may still be at work.
    [[noreturn]] static void leave(const ProgramEnd& end);

private:
    Launcher() = default;

    [[noreturn]] void become(Program& program, int gate, int errno_pipe) const;
    bool read_signal(signalfd_siginfo& info) const;
    void reap(const ExitListener& listener);
    void stop_with_program() const;
    void relay(const signalfd_siginfo& info);
    void relay_what_came_early();

    sigset_t mask_{};                   // the caller's
    struct sigaction child_action_ {};  // the caller's for SIGCHLD
    sigset_t early_{};                  // came before the program existed
    std::vector<int> inherited_;
    UniqueFd signals_;
    std::optional<GroupCanary> canary_;
    UniqueFd gate_;        // a byte lets the program's process go on
    UniqueFd exec_error_;  // says why it could not
    std::string path_;
    pid_t program_ = 0;
    std::optional<ProgramEnd> end_;
};

}  // namespace remora
