// SPDX-License-Identifier: Apache-2.0
#include "agent/main/group_canary.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>

#include "agent/base/clock.h"
#include "agent/base/close_range.h"

namespace remora {

namespace {

// How long the kernel may take from the first member of a group to the last: the second look is for
// a machine whose processors are taken away from it.
constexpr timespec first_look{0, 2'000'000};
constexpr timespec second_look{0, 15'000'000};
constexpr int answer_limit_ms = 100;

struct Question {
    uint8_t sequence;
    uint8_t signal;
};
struct Answer {
    uint8_t sequence;
    uint8_t received;
};

// The canary's whole life.
[[noreturn]] void sing(int questions, int answers, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before that took effect
    ::prctl(PR_SET_NAME, "remora-signals");
    (void)!::chdir("/");  // no file system stays busy because of us
    close_all_but({questions, answers});
    Question question;
    while (::read(questions, &question, sizeof(question)) == sizeof(question)) {
        sigset_t wanted;
        ::sigemptyset(&wanted);
        ::sigaddset(&wanted, question.signal);
        const timespec at_once{};
        const Answer answer{question.sequence,
                            ::sigtimedwait(&wanted, nullptr, &at_once) == question.signal};
        (void)!::write(answers, &answer, sizeof(answer));
    }
    ::_exit(0);
}

}  // namespace

Result<GroupCanary> GroupCanary::start() {
    int questions[2];
    int answers[2];
    if (::pipe2(questions, O_CLOEXEC) != 0) return Error{"cannot make a pipe", errno};
    UniqueFd questions_read{questions[0]};
    GroupCanary canary;
    canary.questions_.reset(questions[1]);
    if (::pipe2(answers, O_CLOEXEC) != 0) return Error{"cannot make a pipe", errno};
    canary.answers_.reset(answers[0]);
    const UniqueFd answers_write{answers[1]};
    const pid_t parent = ::getpid();
    canary.pid_ = ::fork();
    if (canary.pid_ < 0) return Error{"cannot start a helper process for signals", errno};
    if (canary.pid_ == 0) sing(questions_read.get(), answers_write.get(), parent);
    return canary;
}

bool GroupCanary::group_received(int signal) {
    ::nanosleep(&first_look, nullptr);
    if (ask(signal)) return true;
    ::nanosleep(&second_look, nullptr);
    return ask(signal);
}

bool GroupCanary::ask(int signal) {
    const Question question{++sequence_, static_cast<uint8_t>(signal)};
    if (::write(questions_.get(), &question, sizeof(question)) != sizeof(question)) return false;
    const uint64_t deadline = monotonic_ns() + uint64_t{answer_limit_ms} * 1'000'000;
    for (;;) {
        const uint64_t now = monotonic_ns();
        pollfd ready{answers_.get(), POLLIN, 0};
        const int left = now < deadline ? static_cast<int>((deadline - now) / 1'000'000) : 0;
        if (::poll(&ready, 1, left) <= 0) return false;
        Answer answer;
        if (::read(answers_.get(), &answer, sizeof(answer)) != sizeof(answer)) return false;
        if (answer.sequence == question.sequence) return answer.received != 0;
    }
}

}  // namespace remora
