// What becomes of the control plane when an injected clock goes back: it has its turns all the same. What becomes of
// calls: inherit_test.cpp.
#include "pair.h"

namespace taut::rpc::testing {
namespace {

constexpr Nanoseconds kDays = std::chrono::hours(240);

// The clock, which stood so far ahead, has gone back; and a server that was away is there again.
struct ClockThatWentBack : ::testing::Test {
  ClockThatWentBack() {
    pair.pass(kDays);
    pair.settle();
    pair.destroy_server();
    pair.settle_links();
    EXPECT_FALSE(pair.client().link().up());
    pair.ticks -= static_cast<Ticks>(kDays.count());
    pair.restart_server();
  }
  // Bounded by real time, in which the pause before the next attempt passes, and which ends a failed test.
  template <class Step>
  void until_up(Step step) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!pair.client().link().up() && std::chrono::steady_clock::now() < end) step();
    EXPECT_TRUE(pair.client().link().up());
  }
  Pair pair;
};

TEST_F(ClockThatWentBack, LetsALinkComeBack) {
  until_up([this] {
    pair.pass(1ms);
    pair.settle();
  });
}

}  // namespace
}  // namespace taut::rpc::testing
