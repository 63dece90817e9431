// SPDX-License-Identifier: Apache-2.0
#include "agent/main/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/base/close_range.h"

namespace remora {

namespace {

bool asks_to_end(int signal) {
    return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

// A descriptor below 3 that is closed would be given to the next file we open, and then be mistaken
// for standard input or output. Close-on-exec: the program finds it closed as before.
void fill_standard_descriptors() {
    int fd;
    do {
        fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) ::close(fd);
}

bool stops(int signal) { return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU; }

// A stop takes pending continues away and the other way round (signal(7)), also from the canary,
// which then knows nothing of the first one. The later one is pending here and counts alone.
bool superseded(int signal) {
    sigset_t pending;
    if (::sigpending(&pending) != 0) return false;
    if (stops(signal)) return ::sigismember(&pending, SIGCONT) == 1;
    if (signal != SIGCONT) return false;
    return ::sigismember(&pending, SIGTSTP) == 1 || ::sigismember(&pending, SIGTTIN) == 1 ||
           ::sigismember(&pending, SIGTTOU) == 1;
}

ProgramEnd end_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return {info.si_status, 0};
    return {128 + info.si_status, info.si_status};
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::prepare() {
    std::unique_ptr<Launcher> launcher{new Launcher};
    launcher->inherited_ = open_descriptors();
    fill_standard_descriptors();
    sigset_t all;
    ::sigfillset(&all);
    if (::sigprocmask(SIG_BLOCK, &all, &launcher->mask_) != 0)
        return Error{"cannot block signals", errno};
    // Ignored, the kernel would reap our children and never say how they ended.
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &standard, &launcher->child_action_);
    launcher->signals_.reset(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!launcher->signals_) return Error{"cannot read signals", errno};
    auto canary = GroupCanary::start();
    if (!canary) return canary.error();
    launcher->canary_ = std::move(*canary);
    return launcher;
}

Result<pid_t> Launcher::spawn(Program& program) {
    int gate[2];
    int exec_error[2];
    if (::pipe2(gate, O_CLOEXEC) != 0) return Error{"cannot make a pipe", errno};
    const UniqueFd gate_reader{gate[0]};
    gate_.reset(gate[1]);
    if (::pipe2(exec_error, O_CLOEXEC) != 0) return Error{"cannot make a pipe", errno};
    exec_error_.reset(exec_error[0]);
    const UniqueFd error_writer{exec_error[1]};
    path_ = program.path;
    ::sigpending(&early_);
    program_ = ::fork();
    if (program_ < 0) return Error{"cannot start a process", errno};
    if (program_ == 0) {
        gate_.reset();  // or we would never see its end
        become(program, gate_reader.get(), error_writer.get());
    }
    return program_;
}

Status Launcher::go() {
    (void)!::write(gate_.get(), "", 1);
    gate_.reset();
    int error = 0;
    ssize_t count;
    do {
        count = ::read(exec_error_.get(), &error, sizeof(error));
    } while (count < 0 && errno == EINTR);
    exec_error_.reset();
    if (count == sizeof(error)) {
        ::waitpid(program_, nullptr, 0);
        return Error{"cannot run " + path_, error};
    }
    relay_what_came_early();
    return Done{};
}

// In the child.
void Launcher::become(Program& program, int gate, int errno_pipe) const {
    char byte;
    if (::read(gate, &byte, 1) != 1) ::_exit(127);  // nobody wants us any more
    std::vector<char*> arguments;
    for (std::string& argument : program.arguments) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    ::sigaction(SIGCHLD, &child_action_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    ::execve(program.path.c_str(), arguments.data(), program.environment.data());
    if (errno == ENOEXEC) {
        // A script without "#!": execvp and every shell give it to sh.
        std::string shell = "/bin/sh";
        arguments[0] = program.path.data();
        arguments.insert(arguments.begin(), shell.data());
        ::execve(shell.c_str(), arguments.data(), program.environment.data());
    }
    const int error = errno;
    (void)!::write(errno_pipe, &error, sizeof(error));
    ::_exit(127);
}

void Launcher::release_inherited() {
    const UniqueFd nothing{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    if (nothing) {
        ::dup3(nothing.get(), STDIN_FILENO, O_CLOEXEC);
        ::dup3(nothing.get(), STDOUT_FILENO, O_CLOEXEC);
    }
    for (const int fd : inherited_)
        if (fd > STDERR_FILENO) ::close(fd);
    inherited_.clear();
}

ProgramEnd Launcher::wait_for_program(const ExitListener& listener) {
    while (!end_) {
        pollfd ready{signals_.get(), POLLIN, 0};
        ::poll(&ready, 1, -1);
        signalfd_siginfo info;
        while (!end_ && read_signal(info)) {
            if (info.ssi_signo == SIGCHLD)
                reap(listener);
            else
                relay(info);
        }
    }
    return *end_;
}

bool Launcher::wait_a_moment(std::chrono::milliseconds time, const ExitListener& listener) {
    pollfd ready{signals_.get(), POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(time.count())) <= 0) return false;
    bool end = false;
    signalfd_siginfo info;
    while (read_signal(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(listener);
        else
            end = end || asks_to_end(static_cast<int>(info.ssi_signo));
    }
    return end;
}

bool Launcher::read_signal(signalfd_siginfo& info) const {
    return ::read(signals_.get(), &info, sizeof(info)) == sizeof(info);
}

// All children: as process 1, or as a subreaper, we get those of others, too.
void Launcher::reap(const ExitListener& listener) {
    for (;;) {
        siginfo_t info{};
        if (::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            return;
        const bool stopped = info.si_code == CLD_STOPPED || info.si_code == CLD_TRAPPED;
        if (!stopped) {
            const ProgramEnd end = end_of(info);
            if (info.si_pid == program_) end_ = end;
            if (listener) listener(info.si_pid, end.exit_code);
        }
        const auto pid = static_cast<id_t>(info.si_pid);
        siginfo_t taken{};
        ::waitid(P_PID, pid, &taken, (stopped ? WSTOPPED : WEXITED) | WNOHANG);
        // Continued meanwhile: there is nothing to take any more.
        if (stopped && taken.si_pid == program_ && taken.si_code == CLD_STOPPED)
            stop_with_program();
    }
}

// The shell that started us waits for us, not for the program. Comes back when we are continued:
// that SIGCONT is relayed like any other signal.
void Launcher::stop_with_program() const {
    siginfo_t running{};
    if (::waitid(P_PID, static_cast<id_t>(program_), &running, WCONTINUED | WNOHANG | WNOWAIT) ==
            0 &&
        running.si_pid != 0)
        return;
    ::kill(::getpid(), SIGSTOP);
}

void Launcher::relay(const signalfd_siginfo& info) {
    const int signal = static_cast<int>(info.ssi_signo);
    const auto sender = static_cast<pid_t>(info.ssi_pid);
    if (sender == ::getpid()) return;  // of our own making, such as SIGPIPE
    if (info.ssi_code == SI_QUEUE) {   // sigqueue knows no groups
        ::sigqueue(program_, signal, sigval{.sival_int = info.ssi_int});
        return;
    }
    // From the kernel: the terminal's signals go to the whole group. A hang-up goes to the leader
    // of the session as well, and that may be us alone.
    const bool hang_up = signal == SIGHUP && ::getsid(0) == ::getpid();
    if (info.ssi_code != SI_USER && info.ssi_code != SI_TKILL && !hang_up) return;
    if (info.ssi_code != SI_TKILL && canary_->group_received(signal)) return;
    if (superseded(signal)) return;
    // A program that signals its parent means the one who started it.
    ::kill(sender == program_ ? ::getppid() : program_, signal);
}

// What the group got before the program was in it.
void Launcher::relay_what_came_early() {
    for (int signal = 1; signal < NSIG; ++signal)
        if (signal != SIGCHLD && ::sigismember(&early_, signal) == 1) {
            sigset_t one;
            ::sigemptyset(&one);
            ::sigaddset(&one, signal);
            const timespec at_once{};
            if (::sigtimedwait(&one, nullptr, &at_once) == signal) ::kill(program_, signal);
        }
}

void Launcher::leave(const ProgramEnd& end) {
    if (end.signal != 0) {
        // The program has dumped its core, if any; ours would only be in the way.
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::prctl(PR_SET_DUMPABLE, 0);
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        ::sigaction(end.signal, &standard, nullptr);
        ::kill(::getpid(), end.signal);
        sigset_t one;
        ::sigemptyset(&one);
        ::sigaddset(&one, end.signal);
        ::sigprocmask(SIG_UNBLOCK, &one, nullptr);
        // Still here: process 1 of a container can't be killed by its own signals.
    }
    ::_exit(end.exit_code);
}

}  // namespace remora
