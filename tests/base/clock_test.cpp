#include "taut/base/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

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

TEST(clock, the_counter_runs_at_the_rate_that_was_measured) {
  const Clock clock = Clock::system();
  const auto both = [&] {  // of a few readings the one that nothing came between
    std::pair<Ticks, Ticks> best;
    Ticks least = ~Ticks{0};
    for (int i = 0; i < 100; ++i) {
      const Ticks before = clock.now(), ns = Clock::monotonic().now(), took = clock.now() - before;
      if (took < least) least = took, best = {before + took / 2, ns};
    }
    return best;
  };
  const auto begin = both();
  while (Clock::monotonic().now() - begin.second < 20'000'000) {
  }
  const auto end = both();
  const auto by_counter = static_cast<double>(clock.to_duration(end.first - begin.first).count());
  const auto by_clock = static_cast<double>(end.second - begin.second);
  EXPECT_NEAR(by_counter / by_clock, 1.0, 0.001);
}

}  // namespace
}  // namespace taut
