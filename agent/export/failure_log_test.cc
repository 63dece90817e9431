// SPDX-License-Identifier: Apache-2.0
#include "agent/export/failure_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "agent/export/backoff.h"

namespace remora {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

class FailureLogTest : public testing::Test {
protected:
    std::vector<std::string> lines_;
    FailureLog log_{"export",
                    [this](FailureLog::Level, const std::string& line) { lines_.push_back(line); }};
    const FailureLog::TimePoint start_ = FailureLog::TimePoint(1h);
};

TEST_F(FailureLogTest, SaysTheFirstLossThenSumsUpEveryMinute) {
    for (int second = 0; second <= 125; ++second)
        log_.failed("refused", 10, start_ + std::chrono::seconds(second));
    EXPECT_THAT(lines_, ElementsAre("export failed, 10 spans dropped: refused",
                                    "export failed, 600 spans dropped: refused",
                                    "export failed, 600 spans dropped: refused"));
}

TEST_F(FailureLogTest, ANewReasonIsNews) {
    log_.failed("a", 1, start_);
    log_.failed("b", 1, start_ + 1s);
    EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(FailureLogTest, SaysWhenItWorksAgain) {
    log_.succeeded();
    EXPECT_THAT(lines_, SizeIs(0));
    log_.trying_again("slow", start_);
    log_.trying_again("slow", start_ + 1s);
    log_.failed("slow", 2, start_ + 2s);
    log_.failed("slow", 3, start_ + 3s);
    log_.succeeded();
    log_.succeeded();
    EXPECT_THAT(lines_, ElementsAre("export failed, trying again: slow",
                                    "export failed, 2 spans dropped: slow",
                                    "export works again; 5 spans dropped in between"));
}

TEST_F(FailureLogTest, RefusalsAreSummedUpToo) {
    for (int second = 0; second < 60; ++second)
        log_.refused("old", 1, start_ + std::chrono::seconds(second));
    log_.refused("old", 1, start_ + 61s);
    EXPECT_THAT(lines_,
                ElementsAre("export: 1 span refused: old", "export: 60 spans refused: old"));
}

TEST(Backoff, GrowsWithJitterUpToALimit) {
    Backoff backoff(1);
    auto step = std::chrono::duration<double>(Backoff::first);
    bool jitter = false;
    for (int i = 0; i < 12; ++i) {
        const std::chrono::duration<double> wait = backoff.next();
        EXPECT_GE(wait, step * 0.499);
        EXPECT_LE(wait, step * 1.5);
        jitter |= wait != step;
        step = std::min<std::chrono::duration<double>>(step * 2, Backoff::last);
    }
    EXPECT_TRUE(jitter);
    backoff.reset();
    EXPECT_LE(backoff.next(), Backoff::first * 3 / 2);
}

}  // namespace
}  // namespace remora
