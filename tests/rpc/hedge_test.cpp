// Calls that go to a second server: when, to whose good, and that there is one outcome whatever both do.
#include "taut/rpc/hedge.h"

#include <random>

#include "pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::HasSubstr;

// Two servers, whose clients are one.
struct HedgeTest : ::testing::Test {
  HedgeTest() {
    auto listening = pair.server().serve("loopback://far", far);
    EXPECT_TRUE(listening) << listening.error();
    listener.emplace(*std::move(listening));
    auto link = pair.caller().connect("loopback://far");
    EXPECT_TRUE(link) << link.error();
    second.emplace(*std::move(link));
    pair.settle();
  }
  Outcome& call(Hedge& hedge, CallOptions options = {.timeout = 50ms}) {
    LinkState& link = pair.client().link().state();
    Outcome& outcome = outcomes.emplace_back();
    std::byte* kept = hedge.keep(link, bind(link, with_idempotent_echo()), kEcho, 5);
    EXPECT_NE(kept, nullptr);
    std::memcpy(kept, "hello", 5);
    PendingCall pending = hedge.send(options);
    pending.then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
      outcome.payload = as_text(answer.payload);
    });
    ref = pending.ref();
    EXPECT_FALSE(outcome.ended()) << "inside then()";
    return outcome;
  }
  void pass(Nanoseconds time) {
    for (const Nanoseconds step = 10us; time > 0ns; time -= step) {
      pair.settle();
      pair.pass(step);
    }
    pair.settle();
  }
  static void refuse(ByteService& service) {
    service.instead[kEcho] = [](ServedCall& call) {
      call.reply().refuse(Code::resource_exhausted, Why::reply_room, "no room");
    };
  }

  std::deque<Outcome> outcomes;
  CallRef ref;
  Held held, far_held;
  ByteService far;
  Pair pair;
  std::optional<Listener> listener;
  std::optional<Link> second;
};

TEST_F(HedgeTest, AFirstServerInTimeIsTheOnlyOne) {
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(1ms);
  EXPECT_ANSWERED(outcome, "hello");
  EXPECT_EQ(far.received[kEcho], 0);
  EXPECT_EQ(hedge.counters().hedges, 0u);
}

TEST_F(HedgeTest, ALateOneIsOvertakenAndCancelled) {
  pair.service.on[kEcho] = held.handler();
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(190us);
  EXPECT_EQ(far.received[kEcho], 0) << "not before its time";
  pass(30us);
  EXPECT_ANSWERED(outcome, "hello");
  EXPECT_EQ(hedge.counters().won, 1u);
  EXPECT_EQ(hedge.counters().cancelled, 1u);
  ASSERT_EQ(held.replies.size(), 1u);
  EXPECT_TRUE(held.replies.front().cancelled()) << "the server is told";
  answer(held.replies.front(), "too late");
  pass(1ms);
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(HedgeTest, TheFirstMayStillWin) {
  pair.service.on[kEcho] = held.handler();
  far.on[kEcho] = far_held.handler();
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(300us);
  ASSERT_EQ(far_held.replies.size(), 1u);
  answer(held.replies.front(), "first");
  pass(100us);
  EXPECT_ANSWERED(outcome, "first");
  EXPECT_TRUE(far_held.replies.front().cancelled());
  EXPECT_EQ(hedge.counters().won, 0u);
}

TEST_F(HedgeTest, AFirstThatDidNotRunBringsTheSecondAtOnce) {
  refuse(pair.service);
  Hedge hedge(pair.client().link(), *second, {.after = 40ms});
  const Outcome& outcome = call(hedge);
  pass(100us);
  EXPECT_ANSWERED(outcome, "hello");
}

TEST_F(HedgeTest, AFirstWithoutServerBringsTheSecondAtOnce) {
  pair.stop_serving();
  pair.network.cut();
  pair.settle_links();
  pair.until([&] { return second->up(); });
  ASSERT_FALSE(pair.client().link().up());
  Hedge hedge(pair.client().link(), *second, {.after = 40ms});
  const Outcome& outcome = call(hedge);
  pass(100us);
  EXPECT_ANSWERED(outcome, "hello");
}

TEST_F(HedgeTest, WhatAHandlerSaidIsTheOutcome) {
  far.on[kEcho] = far_held.handler();
  pair.service.on[kEcho] = held.handler();
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(300us);
  held.replies.front().refuse(Code::not_found, Why::none, "of the handler");
  pass(100us);
  EXPECT_ENDED(outcome, Code::not_found, Ran::yes, Why::none);
  EXPECT_TRUE(far_held.replies.front().cancelled());
}

TEST_F(HedgeTest, WhenBothFailTheLastStatusIsTheCalls) {
  refuse(pair.service);
  refuse(far);
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(1ms);
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::no, Why::reply_room);
  EXPECT_EQ(outcome.status.text(), "no room (attempt 2 of 2)");
}

TEST_F(HedgeTest, OneThatFailsWaitsForTheOther) {
  pair.service.on[kEcho] = held.handler();
  refuse(far);
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Outcome& outcome = call(hedge);
  pass(1ms);
  EXPECT_FALSE(outcome.ended());
  answer(held.replies.front(), "first");
  pass(100us);
  EXPECT_ANSWERED(outcome, "first");
}

TEST_F(HedgeTest, BothHaveTheRestOfOneDeadline) {
  pair.service.on[kEcho] = held.handler();
  far.on[kEcho] = far_held.handler();
  Hedge hedge(pair.client().link(), *second, {.after = 200us});
  const Ticks begin = pair.ticks;
  const Outcome& outcome = call(hedge, {.timeout = 1ms});
  while (!outcome.ended()) pass(10us);
  EXPECT_LE(pair.ticks - begin, 1'000'000u + 50'000u);
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST_F(HedgeTest, HedgesAreAShareOfTheCallsHoweverSlowTheFirstIs) {
  pair.service.on[kEcho] = held.handler();
  Hedge hedge(pair.client().link(), *second, {.after = 50us, .share = 0.1, .burst = 5});
  constexpr int kCalls = 500;
  for (int i = 0; i != kCalls; ++i) {
    const Outcome& outcome = call(hedge);
    pass(80us);
    if (!outcome.ended()) answer(held.replies.back(), "late");
    pass(10us);
    ASSERT_EQ(outcome.ends, 1);
    held.replies.clear();
    pass(10us);
  }
  EXPECT_LE(hedge.counters().hedges, 5u + kCalls / 10);
  EXPECT_GE(hedge.counters().hedges, kCalls / 10 - 1u);
  EXPECT_EQ(hedge.counters().hedges + hedge.counters().out_of_budget, static_cast<unsigned>(kCalls));
}

TEST_F(HedgeTest, CancelledOrForgottenItEndsAtBothServers) {
  for (const bool cancels : {true, false}) {
    pair.service.on[kEcho] = held.handler();
    far.on[kEcho] = far_held.handler();
    Hedge hedge(pair.client().link(), *second, {.after = 200us});
    const Outcome& outcome = call(hedge);
    pass(300us);
    ASSERT_EQ(far_held.replies.size(), 1u);
    cancels ? ref.cancel() : ref.forget();
    pass(100us);
    EXPECT_EQ(outcome.ends, cancels ? 1 : 0);
    if (cancels) {
      EXPECT_EQ(outcome.status.code(), Code::cancelled) << outcome.status;
    }
    EXPECT_TRUE(held.replies.front().cancelled());
    EXPECT_TRUE(far_held.replies.front().cancelled());
    held.replies.clear();
    far_held.replies.clear();
    pass(100us);
  }
}

TEST_F(HedgeTest, WhoeverGoesFirstTheCallEndsOnce) {
  for (const bool second_goes : {true, false}) {
    pair.service.on[kEcho] = held.handler();
    far.on[kEcho] = far_held.handler();
    Hedge hedge(pair.client().link(), *second, {.after = 200us});
    const Outcome& outcome = call(hedge);
    pass(300us);
    if (second_goes) {
      second.reset();
      EXPECT_FALSE(outcome.ended()) << "the first one may still answer";
      answer(held.replies.front(), "first");
      auto again = pair.caller().connect("loopback://far");
      ASSERT_TRUE(again) << again.error();
      second.emplace(*std::move(again));
    } else {
      pair.client().close();
    }
    pass(1ms);
    EXPECT_EQ(outcome.ends, 1) << second_goes;
    held.replies.clear();
    far_held.replies.clear();
    pass(100us);
  }
}

TEST_F(HedgeTest, ADispatcherThatGoesEndsItOnceAlsoBehindItsPolicy) {
  pair.service.on[kEcho] = held.handler();
  far.on[kEcho] = far_held.handler();
  auto hedge = std::make_unique<Hedge>(pair.client().link(), *second, HedgeOptions{.after = 200us});
  const Outcome& outcome = call(*hedge);
  pass(300us);
  hedge.reset();
  EXPECT_FALSE(outcome.ended());
  pair.destroy_caller();
  EXPECT_EQ(outcome.ends, 1);
}

TEST(SlowestTwentiethTest, FollowsTheValueThatOneInTwentyExceeds) {
  std::mt19937 dice(1);
  std::lognormal_distribution<double> latency(std::log(20'000.0), 0.5);
  SlowestTwentieth slowest(1'000'000);
  for (int i = 0; i != 20'000; ++i) slowest.saw(latency(dice));
  int above = 0;
  for (int i = 0; i != 20'000; ++i) {
    const double value = latency(dice);
    above += value > slowest.value() ? 1 : 0;
    slowest.saw(value);
  }
  EXPECT_GT(above, 20'000 / 20 / 2);
  EXPECT_LT(above, 20'000 / 20 * 2);
}

}  // namespace
}  // namespace taut::rpc::testing
