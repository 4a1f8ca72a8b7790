#include "taut/base/clock.h"

#include <gtest/gtest.h>

#include <chrono>

namespace taut {
namespace {

using namespace std::chrono_literals;

TEST(clock, a_manual_clock_moves_only_when_the_test_moves_it) {
  Ticks ticks = 5;
  const Clock clock = Clock::manual(&ticks);
  EXPECT_EQ(clock.now(), 5u);
  ticks += clock.to_ticks(50us);
  EXPECT_EQ(clock.now(), 50'005u);
}

TEST(clock, the_systems_clock_does_not_run_backwards) {
  const Clock clock = Clock::system();
  Ticks last = clock.now();
  for (int i = 0; i < 10'000; ++i) {
    const Ticks now = clock.now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(clock, ticks_and_durations_convert_both_ways) {
  for (const Clock& clock : {Clock::system(), Clock::monotonic()}) {
    const auto there_and_back = clock.to_duration(clock.to_ticks(1s));
    EXPECT_NEAR(static_cast<double>(there_and_back.count()), 1e9, 10.0);
  }
}

}  // namespace
}  // namespace taut
