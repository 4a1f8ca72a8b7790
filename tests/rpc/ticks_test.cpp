// Programs that own their time: polled until a tick, and what is done once at the end of a turn. On a clock that the
// test moves, and once on the real one.
#include <time.h>

#include "pair.h"
#include "taut/rpc/ticker.h"
#include "taut/rpc/turn_end.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;

// Time passes for the server when it finds nothing to do.
struct TicksTest : ::testing::Test {
  TicksTest() {
    pair.network.when_idle([this] { pair.pass(step); });
  }
  Nanoseconds elapsed(std::chrono::steady_clock::time_point since) { return pair.server().now() - since; }
  // Each takes so long.
  void call(int calls, Nanoseconds takes) {
    pair.service.on[kSmall] = [this, takes](std::string_view, RawReply reply) {
      pair.pass(takes);
      answer(reply, "");
    };
    for (int i = 0; i != calls; ++i) pair.client().call(kSmall, "", {.timeout = forever});
  }

  Nanoseconds step = 100us;
  Pair pair;
};

TEST_F(TicksTest, NothingToDoIsIdleUntilTheTimeHasCome) {
  const auto begin = pair.server().now();
  const TickReport report = pair.server().poll_until(begin + 2ms);
  EXPECT_EQ(elapsed(begin), 2ms);
  EXPECT_EQ(report.units, 0);
  EXPECT_EQ(report.idle, 2ms);
  EXPECT_EQ(report.late, 0ns);
}

TEST_F(TicksTest, WorkIsCountedAndIsNotIdle) {
  call(5, 1ms);
  const auto begin = pair.server().now();
  const TickReport report = pair.server().poll_until(begin + 10ms);
  EXPECT_EQ(report.units, 5);
  EXPECT_EQ(report.idle, elapsed(begin) - 5ms);
  EXPECT_EQ(report.late, elapsed(begin) - 10ms);
  pair.settle();
  for (const Outcome& outcome : pair.client().outcomes()) EXPECT_ANSWERED(outcome, "");
}

TEST_F(TicksTest, AHandlerThatRunsPastTheTimeMakesItLate) {
  call(1, 30ms);
  const auto begin = pair.server().now();
  const TickReport report = pair.server().poll_until(begin + 10ms);
  EXPECT_GE(report.late, 20ms);
  EXPECT_EQ(report.late, elapsed(begin) - 10ms);
}

TEST_F(TicksTest, TheTimeIsLookedAtAfter16Records) {
  call(60, 1ms);
  const TickReport report = pair.server().poll_until(pair.server().now() + 1ms);
  EXPECT_EQ(report.units, 16);
  EXPECT_EQ(pair.service.received[kSmall], 16);
}

TEST_F(TicksTest, TheTimeIsLookedAtAfter16RecordsOfAllLinksTogether) {
  Client& other = pair.add_client();
  call(30, 1ms);
  for (int i = 0; i != 30; ++i) other.call(kSmall, "", {.timeout = forever});
  EXPECT_LE(pair.server().poll_until(pair.server().now() + 1ms).units, 16 + 1);  // a hurried look at an urgent lane
}

TEST_F(TicksTest, ATimeThatHasPassedStillServesOneTurn) {
  call(1, 0ms);
  const TickReport report = pair.server().poll_until(pair.server().now() - 5ms);
  EXPECT_EQ(report.units, 1);
  EXPECT_EQ(report.late, 5ms);
  EXPECT_EQ(report.idle, 0ns);
}

TEST_F(TicksTest, InsideAHandlerItReturns) {
  TickReport report;
  pair.service.on[kSmall] = [&](std::string_view, RawReply) {
    report = pair.server().poll_until(pair.server().now() + 1ms);
  };
  pair.client().call(kSmall);
  pair.settle();
  EXPECT_EQ(report.units, 0);
  EXPECT_EQ(pair.log.count("poll() inside a handler"), 1);
}

TEST_F(TicksTest, TicksStandOnAGrid) {
  const auto begin = pair.server().now();
  Ticker ticker{pair.server(), 10ms, {.tolerance = 1ms}};
  ticker.next();
  pair.pass(7ms);  // a step that takes long, but not too long
  ticker.next();
  EXPECT_EQ(elapsed(begin), 20ms);
  EXPECT_EQ(ticker.counters().late, 0u);
  EXPECT_EQ(ticker.counters().idle, 13ms);
}

TEST_F(TicksTest, TicksThatWereMissedAreCountedAndNotMadeUpFor) {
  step = 10us;
  const auto begin = pair.server().now();
  Ticker ticker{pair.server(), 10ms, {.tolerance = 1ms}};
  ticker.next();
  pair.pass(35ms);
  TickReport report = ticker.next();
  EXPECT_EQ(report.late, elapsed(begin) - 20ms) << "due after 20 ms";
  EXPECT_EQ(report.skipped, 2u) << "those of 30 and 40 ms";
  report = ticker.next();
  EXPECT_EQ(elapsed(begin), 50ms);
  EXPECT_EQ(report.late, 0ns);
  pair.pass(10ms + 500us);
  EXPECT_EQ(ticker.next().skipped, 0u);
  const TickCounters& counters = ticker.counters();
  EXPECT_EQ(counters.ticks, 4u);
  EXPECT_EQ(counters.late, 1u) << "half a millisecond is tolerated";
  EXPECT_EQ(counters.skipped, 2u);
  EXPECT_GE(counters.worst, 25ms);
  EXPECT_LT(counters.worst, 26ms);
  EXPECT_EQ(counters.overrun, counters.worst);
}

TEST_F(TicksTest, WithoutAToleranceItIsASixteenthOfThePeriod) {
  step = 10us;
  Ticker ticker{pair.server(), 16ms};
  pair.pass(16ms + 900us);
  ticker.next();
  EXPECT_EQ(ticker.counters().late, 0u);
  pair.pass(16ms + 1100us - (pair.server().now().time_since_epoch() - 1ms - 16ms));
  ticker.next();
  EXPECT_EQ(ticker.counters().late, 1u);
}

TEST(RealTicksTest, ADispatcherThatMayRestSleepsUntilShortlyBefore) {
  const auto cpu_time = [] {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Nanoseconds(time.tv_nsec);
  };
  for (const Idle idle : {Idle::adaptive, Idle::spin}) {
    Dispatcher loop({}, {.idle = idle});
    const auto when = loop.now() + 50ms;
    const Nanoseconds before = cpu_time();
    const TickReport report = loop.poll_until(when);
    const Nanoseconds used = cpu_time() - before;
    EXPECT_GE(std::chrono::steady_clock::now(), when);
    if (idle == Idle::adaptive) {
      EXPECT_LT(used, 25ms);
    }
    EXPECT_GT(report.idle, 0ns);
    EXPECT_EQ(report.units, 0);
  }
}

class Collected final : public TurnEnd {
 public:
  explicit Collected(Dispatcher& loop) : TurnEnd(loop) {}
  std::function<void()> then = [] {};
  int runs = 0;

 private:
  void turn_ends() override {
    ++runs;
    then();
  }
};

TEST(TurnEndTest, RunsOnceBehindAllHandlersOfTheTurn) {
  Pair pair;
  Collected collected(pair.server());
  std::vector<int> seen;
  int handled = 0;
  pair.service.on[kSmall] = [&](std::string_view, RawReply reply) {
    ++handled;
    collected.ask();
    EXPECT_TRUE(collected.asked());
    answer(reply, "");
  };
  collected.then = [&] { seen.push_back(handled); };
  for (int i = 0; i != 5; ++i) pair.client().call(kSmall);
  pair.settle();
  EXPECT_THAT(seen, ElementsAre(5));
  EXPECT_FALSE(collected.asked());
  pair.client().call(kSmall);
  pair.settle();
  EXPECT_THAT(seen, ElementsAre(5, 6));
}

TEST(TurnEndTest, WhatItAnswersIsShownInItsTurn) {
  Pair pair;
  Collected collected(pair.server());
  Held held;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    held.handler()(request, std::move(reply));
    collected.ask();
  };
  collected.then = [&] { answer(held.replies[0], "at the end"); };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.server().poll();
  pair.caller().poll();
  EXPECT_ANSWERED(outcome, "at the end");
}

TEST(TurnEndTest, WhoAsksAgainIsHeardInTheNextTurnAndWhatThrowsIsLogged) {
  Pair pair;
  Collected again(pair.server()), throws(pair.server());
  again.then = [&] {
    if (again.runs < 3) again.ask();
  };
  throws.then = [] { throw std::runtime_error("of the test"); };
  again.ask();
  throws.ask();
  pair.server().poll();
  EXPECT_EQ(again.runs, 1);
  EXPECT_EQ(throws.runs, 1);
  EXPECT_EQ(pair.log.count("of the test"), 1);
  pair.settle();
  pair.server().poll();
  EXPECT_EQ(again.runs, 3);
}

TEST(TurnEndTest, OneThatGoesIsNotRun) {
  Pair pair;
  std::optional<Collected> first(pair.server()), second(pair.server()), third(pair.server());
  int runs = 0;
  for (auto* each : {&first, &second, &third}) {
    (*each)->then = [&, each] {
      ++runs;
      for (auto* other : {&first, &second, &third}) {
        if (other != each) other->reset();
      }
    };
    (*each)->ask();
  }
  second.reset();
  pair.server().poll();
  EXPECT_EQ(runs, 1) << "the one took the other along";
  first.reset();
  third.reset();
  Collected outlives(pair.server());
  outlives.ask();
  pair.destroy_server();
}

}  // namespace
}  // namespace taut::rpc::testing
