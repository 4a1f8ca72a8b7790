// Calls that are made again: which, how often, after which pauses, and how they end.
#include "taut/rpc/retry.h"

#include <functional>
#include <stdexcept>

#include "pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

struct RetryTest : ::testing::Test {
  // The server refuses so many requests before their handlers.
  void refuse(int count, Why why = Why::reply_room) {
    refusals = count;
    pair.service.instead[kEcho] = [this, why](ServedCall& call) {
      came.push_back(pair.ticks);
      texts.emplace_back(as_text(call.payload()));
      if (refusals-- > 0) return call.reply().refuse(Code::resource_exhausted, why, "no room");
      call.taken();
      RawReply reply = call.reply();
      answer(reply, as_text(call.payload()));
    };
  }
  Outcome& call(Retry& retry, std::string_view payload = "again", CallOptions options = {}, Method method = kEcho) {
    LinkState& link = pair.client().link().state();
    Outcome& outcome = outcomes.emplace_back();
    std::byte* kept =
        retry.keep(link, bind(link, with_idempotent_echo()), method, static_cast<std::uint32_t>(payload.size()));
    EXPECT_NE(kept, nullptr);
    std::memcpy(kept, payload.data(), payload.size());
    retry.send(options).then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
      outcome.payload = as_text(answer.payload);
    });
    EXPECT_FALSE(outcome.ended()) << "inside then()";
    return outcome;
  }
  // Time passes, in small steps.
  void pass(Nanoseconds time) {
    for (const Nanoseconds step = 10us; time > 0ns; time -= step) {
      pair.settle();
      pair.pass(step);
    }
    pair.settle();
  }

  std::deque<Outcome> outcomes;
  int refusals = 0;
  std::vector<Ticks> came;         // when requests came
  std::vector<std::string> texts;  // what they said
  Pair pair;
};

TEST_F(RetryTest, ACallThatDidNotRunIsMadeAgainWithTheSameBytes) {
  refuse(2);
  Retry retry(pair.client().link(), {.attempts = 3});
  const Outcome& outcome = call(retry, "the same bytes");
  pass(20ms);
  EXPECT_ANSWERED(outcome, "the same bytes");
  EXPECT_EQ(came.size(), 3u);
  EXPECT_THAT(texts, Each("the same bytes"));
  EXPECT_EQ(retry.counters().calls, 1u);
  EXPECT_EQ(retry.counters().attempts, 2u);
  EXPECT_EQ(retry.counters().saved, 1u);
}

TEST_F(RetryTest, ACallThatMayHaveRunIsMadeAgainBecauseItIsIdempotent) {
  Retry retry(pair.client().link(), {.attempts = 2, .attempt_timeout = 1ms});
  Held held;
  pair.service.on[kEcho] = held.handler();
  const Outcome& outcome = call(retry, "x", {.timeout = 50ms});
  pass(500us);
  ASSERT_EQ(held.replies.size(), 1u);
  pair.service.on[kEcho] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  pass(5ms);
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_EQ(pair.service.received[kEcho], 2);
  answer(held.replies.front(), "too late");
  pass(1ms);
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(RetryTest, ACallThatRanIsNotMadeAgain) {
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) {
    reply.refuse(Code::unavailable, Why::none, "of the handler");
  };
  Retry retry(pair.client().link(), {.attempts = 5});
  const Outcome& outcome = call(retry);
  pass(20ms);
  EXPECT_ENDED(outcome, Code::unavailable, Ran::yes, Why::none);
  EXPECT_EQ(outcome.status.text(), "of the handler") << "one attempt is nothing to speak of";
  EXPECT_EQ(pair.service.received[kEcho], 1);
}

TEST_F(RetryTest, AMistakeInTheCallIsNotRepeated) {
  pair.service.instead[kEcho] = [this](ServedCall& call) {
    came.push_back(pair.ticks);
    call.refuse_bad_message("no message");
  };
  Retry retry(pair.client().link(), {.attempts = 5});
  const Outcome& outcome = call(retry);
  pass(20ms);
  EXPECT_ENDED(outcome, Code::invalid_argument, Ran::no, Why::bad_message);
  EXPECT_EQ(came.size(), 1u);
}

TEST_F(RetryTest, AMethodThatIsNotIdempotentIsRefusedBeforeAnythingIsSent) {
  Retry retry(pair.client().link(), {.attempts = 5});
  const Outcome& outcome = call(retry, "x", {}, kSmall);
  pass(20ms);
  EXPECT_ENDED(outcome, Code::failed_precondition, Ran::no, Why::none);
  EXPECT_THAT(std::string(outcome.status.text()), HasSubstr("not idempotent"));
  EXPECT_EQ(pair.service.received[kSmall], 0);
}

TEST_F(RetryTest, ACallOverAnotherLinkThanThePolicysIsRefused) {
  Client& other = pair.add_client();
  Retry retry(other.link());
  const Outcome& outcome = call(retry);
  pass(1ms);
  EXPECT_ENDED(outcome, Code::failed_precondition, Ran::no, Why::none);
  EXPECT_EQ(pair.service.received[kEcho], 0);
}

TEST_F(RetryTest, TheLastStatusIsTheCallsAndSaysHowManyAttemptsThereWere) {
  refuse(100);
  Retry retry(pair.client().link(), {.attempts = 3});
  const Outcome& outcome = call(retry);
  pass(50ms);
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::no, Why::reply_room);
  EXPECT_EQ(outcome.status.text(), "no room (attempt 3 of 3)");
  EXPECT_EQ(came.size(), 3u);
  EXPECT_EQ(retry.counters().out_of_attempts, 1u);
}

TEST_F(RetryTest, WhatOneAttemptMayHaveDoneTheNextOneDoesNotUndo) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  Retry retry(pair.client().link(), {.attempts = 2, .attempt_timeout = 1ms});
  const Outcome& outcome = call(retry, "x", {.timeout = 50ms});
  pass(500us);
  refuse(1);
  pass(20ms);
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::maybe, Why::reply_room);
}

TEST_F(RetryTest, NoAttemptIsMadeForWhichTheDeadlineLeavesNoTime) {
  refuse(1000);
  Retry retry(pair.client().link(), {.attempts = 1000, .backoff = 200us, .backoff_max = 200us, .burst = 1000});
  const Ticks begin = pair.ticks;
  const Outcome& outcome = call(retry, "x", {.timeout = 2ms});
  while (!outcome.ended()) pass(10us);
  EXPECT_LE(pair.ticks - begin, 2'000'000u + 10'000u);
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::no, Why::reply_room);
  EXPECT_THAT(std::string(outcome.status.text()), HasSubstr("; no time is left for another)"));
  EXPECT_EQ(retry.counters().out_of_time, 1u);
  EXPECT_GT(came.size(), 5u);
}

TEST_F(RetryTest, AnAttemptThatStartsLateHasOnlyTheRestOfTheTime) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  Retry retry(pair.client().link(), {.attempts = 2, .attempt_timeout = 3ms, .backoff = 0us});
  const Ticks begin = pair.ticks;
  const Outcome& outcome = call(retry, "x", {.timeout = 4ms});
  while (!outcome.ended()) pass(10us);
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  EXPECT_EQ(held.replies.size(), 2u);
  EXPECT_LE(pair.ticks - begin, 4'000'000u + 20'000u);
}

TEST_F(RetryTest, PausesAreDrawnUpToABoundThatDoubles) {
  std::vector<Nanoseconds> longest(6);
  for (int i = 0; i != 64; ++i) {
    refuse(6);
    came.clear();
    Retry retry(pair.client().link(), {.attempts = 7, .backoff = 100us, .backoff_max = 800us, .burst = 100});
    const Outcome& outcome = call(retry, "x", {.timeout = 1s});
    while (!outcome.ended()) pass(10us);
    ASSERT_EQ(came.size(), 7u);
    for (std::size_t k = 0; k != 6; ++k) {
      longest[k] = std::max(longest[k], Nanoseconds{static_cast<std::int64_t>(came[k + 1] - came[k])});
    }
  }
  for (std::size_t k = 0; k != 6; ++k) {
    const Nanoseconds bound = std::min(800us, 100us * (1 << k));
    EXPECT_LE(longest[k], bound + 20us) << "pause " << k;
    EXPECT_GT(longest[k], bound * 3 / 4) << "pause " << k << ": of 64 draws none is as long in one run of 10^8";
  }
}

TEST_F(RetryTest, WhatTheServerExpectsACallToWaitComesOnTop) {
  const std::uint32_t steps = Status::wait_steps(2ms);
  char text[sizeof steps + 4] = {};  // as it travels
  std::memcpy(text, &steps, sizeof steps);
  std::memcpy(text + sizeof steps, "busy", 4);
  pair.service.instead[kEcho] = [&](ServedCall& call) {
    came.push_back(pair.ticks);
    call.reply().refuse(Code::resource_exhausted, Why::server_limit, {text, sizeof text});
  };
  Retry retry(pair.client().link(), {.attempts = 2, .backoff = 100us});
  const Outcome& outcome = call(retry, "x", {.timeout = 1s});
  while (!outcome.ended()) pass(10us);
  ASSERT_EQ(came.size(), 2u);
  EXPECT_GE(came[1] - came[0], 2'000'000u);
  EXPECT_LE(came[1] - came[0], 2'000'000u + 100'000u + 20'000u);
}

TEST_F(RetryTest, OneThatIsForgottenIsCancelledAtTheServerAndTellsNobody) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  Retry retry(pair.client().link());
  LinkState& link = pair.client().link().state();
  ASSERT_NE(retry.keep(link, bind(link, with_idempotent_echo()), kEcho, 0), nullptr);
  int ends = 0;
  PendingCall pending = retry.send({});
  pending.then([&ends](const RawAnswer&) { ++ends; });
  CallRef ref = pending.ref();
  pass(100us);
  ASSERT_EQ(held.replies.size(), 1u);
  ref.forget();
  pass(100us);
  EXPECT_TRUE(held.replies.front().cancelled());
  held.replies.clear();
  pass(100us);
  EXPECT_EQ(ends, 0);
}

TEST_F(RetryTest, AWaitOverAnotherLinkThanThePolicysIsNotRepeated) {
  Client& other = pair.add_client();
  Retry retry(other.link());
  LinkState& link = pair.client().link().state();
  RetryRounds rounds(retry, link, bind(link, with_idempotent_echo()), kEcho, taut::wait(50ms));
  (void)rounds.next();
  Status status(Code::unavailable, Ran::no, Why::not_connected, "gone");
  EXPECT_FALSE(rounds.again(status));
  EXPECT_EQ(retry.counters().attempts, 0u);
}

// The server refuses everything, for as long as one likes: what comes on top of the calls stays a share of them.
TEST_F(RetryTest, AnOverloadedServerGetsNoMoreThanTheBudgetOnTop) {
  refuse(1'000'000);
  Retry retry(pair.client().link(), {.attempts = 3, .backoff = 10us, .share = 0.1, .burst = 10});
  constexpr int kCalls = 2000;
  for (int i = 0; i != kCalls; ++i) {
    call(retry);
    pass(100us);
  }
  pass(1ms);
  EXPECT_EQ(came.size(), kCalls + retry.counters().attempts);
  EXPECT_LE(retry.counters().attempts, 10u + kCalls / 10);
  EXPECT_GE(retry.counters().attempts, kCalls / 10 - 1u) << "what the budget allows is used";
  EXPECT_THAT(std::string(outcomes.back().status.text()), HasSubstr("budget"));
  for (const Outcome& outcome : outcomes) ASSERT_EQ(outcome.ends, 1);
}

TEST_F(RetryTest, ACallOutlivesTheServerThatWasRestarted) {
  Retry retry(pair.client().link(), {.attempts = 50, .backoff = 1ms, .burst = 100});
  pair.destroy_server();
  pair.settle_links();
  const Outcome& outcome = call(retry, "still here", {.timeout = 60s});
  pass(2ms);
  EXPECT_FALSE(outcome.ended());
  pair.restart_server();
  pair.until([&] { return outcome.ended(); });
  EXPECT_ANSWERED(outcome, "still here");
}

TEST_F(RetryTest, CallsBeyondWhatIsKeptAreForTheCallerToSendOnce) {
  Retry retry(pair.client().link(), {.calls_max = 2, .message_bytes_max = 64});
  LinkState& link = pair.client().link().state();
  const Binding& binding = bind(link, with_idempotent_echo());
  EXPECT_EQ(retry.keep(link, binding, kEcho, 65), nullptr);
  Held held;
  pair.service.on[kEcho] = held.handler();
  call(retry);
  call(retry);
  EXPECT_EQ(retry.keep(link, binding, kEcho, 1), nullptr);
  EXPECT_EQ(retry.counters().sent_once, 2u);
  pass(100us);
  while (!held.replies.empty()) {
    RawReply reply = held.take(0);
    answer(reply, "x");
  }
  pass(100us);
  EXPECT_NE(retry.keep(link, binding, kEcho, 1), nullptr) << "a row is free again";
  retry.send({}).then([](const RawAnswer&) {});
}

TEST_F(RetryTest, ACallThatPausesEndsWithItsLink) {
  refuse(1);
  Retry retry(pair.client().link(), {.backoff = 100ms, .backoff_max = 100ms});
  const Outcome& outcome = call(retry);
  pass(100us);
  ASSERT_EQ(came.size(), 1u);
  ASSERT_FALSE(outcome.ended());
  pair.client().close();
  EXPECT_ENDED(outcome, Code::cancelled, Ran::no, Why::link_closed);
}

TEST_F(RetryTest, ACallThatPausesEndsWithItsDispatcher) {
  refuse(1);
  Retry retry(pair.client().link(), {.backoff = 100ms, .backoff_max = 100ms});
  const Outcome& outcome = call(retry);
  pass(100us);
  pair.destroy_caller();
  EXPECT_ENDED(outcome, Code::cancelled, Ran::no, Why::link_closed);
}

TEST_F(RetryTest, ACallUnderWayEndsOnceWhenItsDispatcherGoes) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  Retry retry(pair.client().link());
  const Outcome& outcome = call(retry);
  pass(100us);
  pair.destroy_caller();
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_EQ(outcome.status.code(), Code::cancelled) << outcome.status;
}

TEST_F(RetryTest, BehindItsPolicyACallEndsWithTheAttemptThatWasMade) {
  refuse(1);
  std::optional<Retry> retry;
  retry.emplace(pair.client().link(), RetryOptions{.backoff = 100ms, .backoff_max = 100ms});
  const Outcome& pausing = call(*retry);
  pass(100us);
  Held held;
  pair.service.instead[kEcho] = nullptr;
  pair.service.on[kEcho] = held.handler();
  const Outcome& under_way = call(*retry);
  pass(100us);
  retry.reset();
  pass(100ms);
  EXPECT_ENDED(pausing, Code::resource_exhausted, Ran::no, Why::reply_room);
  EXPECT_FALSE(under_way.ended());
  answer(held.replies.front(), "late");
  pass(100us);
  EXPECT_ANSWERED(under_way, "late");
}

TEST_F(RetryTest, ACallbackMayDestroyItsPolicyAndMakeCalls) {
  refuse(0);
  auto retry = std::make_unique<Retry>(pair.client().link());
  LinkState& link = pair.client().link().state();
  const Binding& binding = bind(link, with_idempotent_echo());
  int ends = 0;
  ASSERT_NE(retry->keep(link, binding, kEcho, 0), nullptr);
  retry->send({}).then([&](const RawAnswer&) {
    ++ends;
    ASSERT_NE(retry->keep(link, binding, kEcho, 0), nullptr);
    retry->send({}).then([&](const RawAnswer&) {
      ++ends;
      retry.reset();
    });
  });
  pass(1ms);
  EXPECT_EQ(ends, 2);
}

TEST_F(RetryTest, ACallbackThatThrowsIsLoggedWhereverItRuns) {
  Retry retry(pair.client().link());
  LinkState& link = pair.client().link().state();
  const Binding& binding = bind(link, with_idempotent_echo());
  for (const Method method : {kEcho, kSmall}) {  // answered; refused, which a timer tells
    ASSERT_NE(retry.keep(link, binding, method, 0), nullptr);
    retry.send({}).then([](const RawAnswer&) { throw std::runtime_error("of the user"); });
  }
  pass(1ms);
  EXPECT_EQ(pair.log.count("of the user"), 2);
  const Outcome& after = call(retry, "after");
  pass(1ms);
  EXPECT_ANSWERED(after, "after");
}

}  // namespace
}  // namespace taut::rpc::testing
