// When links look for a server that went: spread, bounded, and the same for the same seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "taut/rpc/reconnect.h"

namespace taut::rpc {
namespace {

using namespace std::chrono_literals;

constexpr int kClients = 1000;

// When one client tries within `outage`, by a clock that begins with it; it finds nobody.
std::vector<Nanoseconds> attempts(ReconnectSchedule schedule, Nanoseconds outage) {
  std::vector<Nanoseconds> times;
  Nanoseconds now{0};
  for (now += schedule.lost(now); now < outage; now += schedule.failed(now)) times.push_back(now);
  return times;
}

ReconnectSchedule client(std::uint64_t seed, Nanoseconds longest = 100ms, std::uint32_t budget = 20) {
  return ReconnectSchedule({longest, budget, seed});
}

TEST(ReconnectScheduleTest, AThousandClientsOfOneServerDoNotComeInStep) {
  std::vector<int> in_millisecond(1000);  // after the loss: how many clients try
  std::vector<int> first_in_tenth(10);    // of the first millisecond: how many try for the first time
  for (std::uint64_t seed = 1; seed <= kClients; ++seed) {
    const auto times = attempts(client(seed), 1s);
    for (const Nanoseconds when : times) ++in_millisecond[static_cast<std::size_t>(when / 1ms)];
    ASSERT_LT(times.front(), 1ms);
    ++first_in_tenth[static_cast<std::size_t>(times.front() / 100us)];
  }
  EXPECT_GT(*std::min_element(first_in_tenth.begin(), first_in_tenth.end()), kClients / 20);
  EXPECT_LT(*std::max_element(first_in_tenth.begin(), first_in_tenth.end()), kClients / 5);
  // When the pauses are long, a server that comes back meets few in any millisecond.
  EXPECT_LT(*std::max_element(in_millisecond.begin() + 100, in_millisecond.end()), kClients / 20);
}

TEST(ReconnectScheduleTest, PausesDoubleUpToTheLongestAndAtLeastHalfOfEachIsWaited) {
  auto schedule = client(7, 8ms, 1000);
  EXPECT_LT(schedule.lost(0s), 1ms);
  for (const Nanoseconds pause : {1ms, 2ms, 4ms, 8ms, 8ms, 8ms}) {
    const Nanoseconds waited = schedule.failed(0s);
    EXPECT_GE(waited, pause / 2);
    EXPECT_LT(waited, pause);
  }
  EXPECT_LT(schedule.lost(0s), 1ms) << "a link that was up begins anew";
}

TEST(ReconnectScheduleTest, AServerThatLosesItsLinksAtOnceIsNotBesieged) {
  auto schedule = client(7, 100ms, 20);
  std::vector<Nanoseconds> times;
  Nanoseconds now{0};
  while (now < 10s) times.push_back(now += schedule.lost(now));  // each attempt makes a link, which ends at once
  for (std::size_t i = 0; i + 40 < times.size(); ++i) {
    EXPECT_GE(times[i + 40] - times[i], 1s) << "more than a budget at once and another in the second, at " << i;
  }
  EXPECT_LE(times.size(), 20u + 10 * 20 + 1);
  EXPECT_GE(times.size(), 10u * 20) << "what the budget allows is used";
}

TEST(ReconnectScheduleTest, ABudgetThatWasNotUsedIsThereAgain) {
  auto schedule = client(7, 100ms, 4);
  for (int i = 0; i != 4; ++i) EXPECT_LT(schedule.lost(0s), 1ms);
  EXPECT_GE(schedule.lost(0s), 200ms);
  for (int i = 0; i != 4; ++i) EXPECT_LT(schedule.lost(10s), 1ms);
  EXPECT_GE(schedule.lost(10s), 200ms);
}

TEST(ReconnectScheduleTest, TheSameSeedTriesAtTheSameTimes) {
  EXPECT_EQ(attempts(client(42), 3s), attempts(client(42), 3s));
  EXPECT_NE(attempts(client(42), 3s), attempts(client(43), 3s));
}

}  // namespace
}  // namespace taut::rpc
