// When calls end for want of time: at their own timeout, to the nanosecond, and what travels of it to the server.
#include <cstddef>
#include <cstring>

#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

// Not a nanosecond early, and then at once. The call was made just now, and its server may have run it.
void expect_end_at_timeout(Pair& pair, const Outcome& outcome, Nanoseconds timeout) {
  pair.pass(timeout - 1ns);
  pair.settle();
  EXPECT_FALSE(outcome.ended());
  pair.pass(1ns);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST(DeadlineTest, EndsACallExactlyAtItsTimeoutAndTheMarkSaysWhetherItRan) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& earlier = pair.client().call(kSmall);
  const Outcome& at_the_mark = pair.client().call(kSmall);
  pair.settle();
  const Outcome& untaken = pair.client().call(kSmall);
  pair.pass(1s - 1ns);
  pair.caller().poll();
  EXPECT_FALSE(earlier.ended() || at_the_mark.ended() || untaken.ended());
  pair.pass(1ns);
  pair.caller().poll();
  EXPECT_ENDED(earlier, Code::deadline_exceeded, Ran::yes, Why::timeout);
  EXPECT_ENDED(at_the_mark, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  EXPECT_ENDED(untaken, Code::deadline_exceeded, Ran::maybe, Why::timeout);  // its server lives and may still run it
}

TEST(DeadlineTest, ACallThatWasRefusedIsNotSaidToHaveRun) {
  JoinedPair pair;
  pair.client->call(kSmall, "first");
  const Outcome& refused = pair.client->call(kSmall, "too late", {.timeout = 1ms});
  pair.client->call(kSmall, "behind it");
  pair.pass(2ms);
  pair.server.poll();   // the second has expired in the queue, and the mark stands behind the third
  pair.caller.poll(0);  // its refusal has not been read when its deadline passes here
  EXPECT_ENDED(refused, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST(DeadlineTest, OfEachCallIsItsOwn) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  std::vector<const Outcome*> calls;
  for (const auto timeout : {30us, 10us, 50us, 20us, 40us})
    calls.push_back(&pair.client().call(kSmall, {}, {.timeout = timeout}));
  pair.settle();
  int ended = 0;
  for (int i = 1; i <= 5; ++i) {
    pair.pass(10us);
    pair.settle();
    EXPECT_EQ(std::count_if(calls.begin(), calls.end(), [](const Outcome* call) { return call->ended(); }), ++ended);
  }
}

TEST(DeadlineTest, OfARetryMadeWhenTheFirstTimedOutIsKeptToo) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  Outcome* retry = nullptr;
  for (int i = 0; i != 3; ++i) (void)send_call(pair.client().filled(kSmall, {}), 0, {.timeout = forever});
  pair.client().call_then(kSmall, {}, {.timeout = 10us},
                          [&](const Outcome&) { retry = &pair.client().call(kSmall, {}, {.timeout = 10us}); });
  pair.settle();
  pair.pass(10us);
  pair.settle();
  ASSERT_NE(retry, nullptr);
  EXPECT_FALSE(retry->ended());
  pair.pass(10us);
  pair.settle();
  EXPECT_EQ(retry->ends, 1);
  EXPECT_EQ(retry->status.code(), Code::deadline_exceeded);
}

TEST(DeadlineTest, IsKeptWhileEveryTurnFindsSomething) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& waiting = pair.client().call(kSmall, {}, {.timeout = 1ms});
  for (int i = 0; i != 1000 && !waiting.ended(); ++i) {
    pair.client().call(kEcho, "busy");
    pair.server().poll();
    EXPECT_GT(pair.caller().poll(), 0);
    pair.pass(100us);
  }
  EXPECT_ENDED(waiting, Code::deadline_exceeded, Ran::yes, Why::timeout);  // calls behind it were taken
}

TEST(DeadlineTest, ThatPassedInTheQueueIsRefusedBeforeTheWork) {
  Pair pair;
  const Outcome& outcome = pair.client().call(kSmall, "too old", {.timeout = 50us});
  pair.pass(51us);
  pair.server().poll(0);  // a turn that finds nothing: the server learns the time
  pair.server().poll();
  pair.caller().poll();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::no, Why::expired_in_queue);
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_THAT(std::string(outcome.status.text()), ::testing::HasSubstr("in the queue"));
}

TEST(DeadlineTest, IsCountedFromTheStampAndTheHandlerSeesWhatIsLeft) {
  Pair pair;
  Nanoseconds queued{}, left{};
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    queued = reply.queued();
    left = reply.left();
    answer(reply, request);
  };
  pair.client().call(kSmall, {}, {.timeout = 160us});
  pair.pass(50us);
  pair.server().poll(0);
  pair.server().poll();
  EXPECT_EQ(queued, 50us);
  EXPECT_EQ(left, 110us);
}

TEST(DeadlineTest, LeftIsZeroBehindItAndTheLongestWithoutOne) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  pair.client().call(kSmall, {}, {.timeout = 10us});
  pair.client().call(kSmall, {}, {.timeout = forever});
  pair.client().call(kSmall, {}, {.timeout = 100s});
  pair.settle();
  pair.pass(11us);
  EXPECT_EQ(held.replies[0].left(), 0ns);
  EXPECT_EQ(held.replies[1].left(), Nanoseconds::max());
  EXPECT_EQ(held.replies[2].left(), Nanoseconds::max()) << "longer than a budget can say";
}

TEST(DeadlineTest, LongerThanABudgetCanSayIsKeptByTheCaller) {
  Pair pair;
  const Outcome& served = pair.client().call(kSmall, "served", {.timeout = 100s});
  pair.pass(99s);
  pair.server().poll(0);
  pair.settle();
  EXPECT_ANSWERED(served, "served");
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall, "held", {.timeout = 100s});
  expect_end_at_timeout(pair, outcome, 100s);
}

TEST(DeadlineTest, ForeverHasNone) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall, "patient", {.timeout = forever});
  const Outcome& centuries = pair.client().call(kSmall, "patient too", {.timeout = forever - 1ns});
  pair.settle();
  pair.pass(std::chrono::hours(24 * 3650));
  pair.settle();
  EXPECT_FALSE(outcome.ended() || centuries.ended());
  answer(held.replies[0], "at last");
  pair.settle();
  EXPECT_ANSWERED(outcome, "at last");
}

TEST(DeadlineTest, ThatIsOverBeforeTheCallEndsItAtOnce) {
  Pair pair;
  const Outcome& outcome = pair.client().call(kSmall, {}, {.timeout = -5ms});
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::no, Why::deadline_passed);
  EXPECT_EQ(pair.service.received[kSmall], 0) << "it was not sent";
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");  // the claim of the one before was given back
}

TEST(DeadlineTest, OfTheLinksUrlIsTheDefault) {
  Pair pair("?timeout=5ms");
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall);
  expect_end_at_timeout(pair, outcome, 5ms);
}

TEST(BudgetTest, TravelsInStepsOf16NanosecondsRoundedUp) {
  JoinedPair pair;
  std::uint32_t at = 0;
  const auto sent = [&](Nanoseconds timeout) {
    pair.client->call(kSmall, {}, {.timeout = timeout});
    std::uint32_t budget;
    std::memcpy(&budget, pair.memory().lane(0, Lane::normal).out_ring + at + offsetof(ring::RequestHeader, budget), 4);
    at += ring::kStep;
    return budget;
  };
  EXPECT_EQ(sent(1ns), 1u);
  EXPECT_EQ(sent(16ns), 1u);
  EXPECT_EQ(sent(17ns), 2u);
  EXPECT_EQ(sent(50us), 3125u);
  EXPECT_EQ(sent(68s), 4'250'000'000u);
  EXPECT_EQ(sent(69s), ring::kBudgetLonger);
  EXPECT_EQ(sent(forever), ring::kBudgetNone);
  EXPECT_EQ(sent(0ns), 62'500'000u) << "the default: one second";
}

}  // namespace
}  // namespace taut::rpc::testing
