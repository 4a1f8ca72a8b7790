// How calls end that do not end well: code, ran, why and the sentence, as the caller sees them.
#include <climits>
#include <stdexcept>

#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::HasSubstr;

std::string text_of(const Outcome& outcome) { return std::string(outcome.status.text()); }

TEST(HandlerTest, ItsRefusalReachesTheCaller) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view, RawReply reply) {
    reply.refuse(Code::not_found, Why::none, "no such order");
  };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ENDED(outcome, Code::not_found, Ran::yes, Why::none);
  EXPECT_EQ(outcome.status.text(), "no such order");
  EXPECT_FALSE(outcome.status.safe_to_retry());
}

TEST(HandlerTest, EveryCodeArrivesAsItWas) {
  Pair pair;
  for (unsigned code = 1; code != kCodeCount; ++code) {
    pair.service.on[kSmall] = [=](std::string_view, RawReply reply) {
      reply.refuse(static_cast<Code>(code), Why::none, {});
    };
    const Outcome& outcome = pair.client().call(kSmall);
    pair.settle();
    EXPECT_ENDED(outcome, static_cast<Code>(code), Ran::yes, Why::none);
    EXPECT_EQ(outcome.status.text(), "");
  }
}

TEST(HandlerTest, TheTextOfARefusalIsCutToItsLine) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view, RawReply reply) {
    reply.refuse(Code::internal, Why::none, std::string(48, 'a') + "cut off");
  };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_EQ(outcome.status.text(), std::string(48, 'a'));
}

TEST(HandlerTest, ThatThrowsEndsItsCallAndTheLogSaysWhat) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view, RawReply) { throw std::runtime_error("out of cheese"); };
  pair.service.on[kEcho] = [](std::string_view, RawReply) { throw 42; };
  const Outcome& one = pair.client().call(kSmall);
  const Outcome& other = pair.client().call(kEcho);
  pair.settle();
  for (const Outcome* outcome : {&one, &other}) {
    EXPECT_ENDED(*outcome, Code::internal, Ran::yes, Why::handler_threw);
    EXPECT_THAT(text_of(*outcome), HasSubstr("threw"));
  }
  EXPECT_EQ(pair.log.count("the handler of Small threw: out of cheese"), 1);
  EXPECT_EQ(pair.log.count("the handler of Echo threw"), 1);
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
}

TEST(HandlerTest, ThatThrowsBeforeItTookItsReplyEndsItsCallToo) {
  Pair pair;
  pair.service.instead[kSmall] = [](ServedCall&) { throw std::runtime_error("early"); };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ENDED(outcome, Code::internal, Ran::no, Why::handler_threw);
}

TEST(HandlerTest, ThatThrowsBehindItsAnswerChangesNothing) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) {
    answer(reply, request);
    throw std::runtime_error("too late");
  };
  const Outcome& outcome = pair.client().call(kSmall, "answered");
  pair.settle();
  EXPECT_ANSWERED(outcome, "answered");
  EXPECT_EQ(pair.log.count("too late"), 1);
}

TEST(HandlerTest, ThatLetsItsReplyGoAborts) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view, RawReply) {};
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ENDED(outcome, Code::aborted, Ran::yes, Why::reply_dropped);
  EXPECT_THAT(text_of(outcome), HasSubstr("without an answer"));
}

TEST(HandlerTest, DoesNotRunWhenTheMessageFailsItsCheck) {
  Pair pair;
  pair.service.instead[kSmall] = [](ServedCall& call) { call.refuse_bad_message("field symbol is absent"); };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ENDED(outcome, Code::invalid_argument, Ran::no, Why::bad_message);
  EXPECT_EQ(outcome.status.text(), "field symbol is absent");
}

TEST(CallbackTest, ThatThrowsIsLoggedAndTheNextCallIsAnswered) {
  Pair pair;
  pair.client().call_then(kSmall, "a", {}, [](const Outcome&) { throw std::runtime_error("from a callback"); });
  pair.client().call_then(kSmall, std::string(1 << 20, 'x'), {}, [](const Outcome&) { throw 7; });
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_EQ(pair.log.count("from a callback"), 1);
  EXPECT_EQ(pair.log.count("a callback"), 2);
  EXPECT_ANSWERED(next, "next");
}

// --- time

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
  EXPECT_THAT(text_of(outcome), HasSubstr("in the queue"));
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
  pair.pass(100s - 1ns);
  pair.settle();
  EXPECT_FALSE(outcome.ended());
  pair.pass(1ns);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
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
  pair.pass(1ns);
  pair.caller().poll();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST(DeadlineTest, OfTheLinksUrlIsTheDefault) {
  Pair pair("?timeout=5ms");
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& outcome = pair.client().call(kSmall);
  pair.pass(5ms - 1ns);
  pair.settle();
  EXPECT_FALSE(outcome.ended());
  pair.pass(1ns);
  pair.settle();
  EXPECT_ENDED(outcome, Code::deadline_exceeded, Ran::maybe, Why::timeout);
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

// --- what a service does not do

TEST(HaltTest, RefusesCallsBeforeTheyAreSent) {
  JoinedPair pair;
  pair.memory().halt_word.store(1);
  const Outcome& outcome = pair.client->call(kSmall);
  pair.settle();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::halted);
  EXPECT_EQ(pair.server_counters().requests_received.value(), 0u);
  pair.memory().halt_word.store(0);
  const Outcome& next = pair.client->call(kSmall, "again");
  pair.settle();
  EXPECT_ANSWERED(next, "again");
}

TEST(HaltTest, RefusesWhatWasUnderWayBeforeTheWork) {
  JoinedPair pair;
  const Outcome& outcome = pair.client->call(kSmall);
  pair.memory().halt_word.store(1);
  pair.settle();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::halted);
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_EQ(pair.server_counters().requests_refused.value(), 1u);
}

TEST(MethodTest, ThatTheServerDoesNotHaveIsUnimplemented) {
  static const MethodDescription methods[] = {
      {.name = "Echo", .id = 1, .request_bound = 0, .reply_bound = 0, .request = "q", .reply = "r"},
      {.name = "Later", .id = 99, .request_bound = 0, .reply_bound = 0, .request = "q", .reply = "r"}};
  static const ServiceDescription newer{"test.Bytes", 0xbeef, methods, {}};
  static const ServiceDescription other{"test.Other", 0xbeef, methods, {}};
  Pair pair;
  pair.server_turns_in_waits();
  AnswerBuffer buffer;
  LinkState& link = pair.client().link().state();
  EXPECT_TRUE(wait_call(claim_call(link, bind(link, newer), 0, 0), 0, wait, buffer).ok());
  for (const auto& [service, method] : {std::pair{&newer, 1u}, {&other, 0u}}) {
    const Outcome outcome{1, wait_call(claim_call(link, bind(link, *service), method, 0), 0, wait, buffer), {}};
    EXPECT_ENDED(outcome, Code::unimplemented, Ran::no, Why::unknown_method);
    EXPECT_THAT(text_of(outcome), HasSubstr("method table"));
  }
}

// --- claims and polls where they do not belong

TEST(ClaimTest, ASecondOneOfTheLaneIsRefused) {
  Pair pair;
  CallClaim first = pair.client().claim(kSmall, 5);
  ASSERT_TRUE(first);
  EXPECT_FALSE(pair.client().claim(kEcho, 5));
  const Outcome& second = pair.client().call(kSmall, "second");
  EXPECT_ENDED(pair.client().wait(kSmall), Code::failed_precondition, Ran::no, Why::open_claim);
  EXPECT_TRUE(pair.client().claim(kUrgent, 5)) << "the other lane has its own";
  std::memcpy(first.payload(), "first", 5);
  Outcome outcome;
  send_call(std::move(first), 5, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.status = got.status;
    outcome.payload = as_text(got.payload);
  });
  pair.settle();
  EXPECT_ANSWERED(outcome, "first");
  EXPECT_ENDED(second, Code::failed_precondition, Ran::no, Why::open_claim);
}

TEST(ClaimTest, ThatIsDroppedCostsNothing) {
  JoinedPair pair;
  for (int i = 0; i != 10'000; ++i) {
    const CallClaim dropped = pair.client->claim(kSmall, 5000);
    ASSERT_TRUE(dropped);
    std::memset(dropped.payload(), 0xff, 5000);
  }
  const Outcome& next = pair.client->call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
  EXPECT_EQ(pair.client_counters().calls_sent.value(), 1u);
}

TEST(ClaimTest, MayBeSentWithFewerBytes) {
  Pair pair;
  CallClaim claim = pair.client().claim(kEcho, 4000);
  std::memset(claim.payload(), 0xff, 4000);
  std::memcpy(claim.payload(), "short", 5);
  Outcome outcome;
  send_call(std::move(claim), 5, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.payload = as_text(got.payload);
    outcome.status = got.status;
  });
  const Outcome& next = pair.client().call(kEcho, "next");
  pair.settle();
  EXPECT_ANSWERED(outcome, "short");
  EXPECT_ANSWERED(next, "next");
}

TEST(ClaimTest, APollWhileOneIsOpenIsReportedOnceAndCorruptsNothing) {
  Pair pair;
  const Outcome& earlier = pair.client().call(kSmall, "earlier");
  pair.server().poll();
  CallClaim claim = pair.client().claim(kSmall, 5);
  std::memcpy(claim.payload(), "claim", 5);
  for (int i = 0; i != 10; ++i) EXPECT_EQ(pair.caller().poll(), 0);
  EXPECT_FALSE(earlier.ended());
  EXPECT_EQ(pair.log.count("poll() with an open claim"), 1);
  Outcome outcome;
  send_call(std::move(claim), 5, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.payload = as_text(got.payload);
    outcome.status = got.status;
  });
  pair.settle();
  EXPECT_ANSWERED(earlier, "earlier");
  EXPECT_ANSWERED(outcome, "claim");
}

TEST(PollTest, InsideAHandlerDoesNothingAndSaysSo) {
  Pair pair;
  int inside = -1;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    inside = pair.server().poll();
    answer(reply, request);
  };
  const Outcome& first = pair.client().call(kSmall, "first");
  const Outcome& second = pair.client().call(kSmall, "second");
  pair.settle();
  EXPECT_EQ(inside, 0);
  EXPECT_ANSWERED(first, "first");
  EXPECT_ANSWERED(second, "second");
  EXPECT_EQ(pair.log.count("poll() inside a handler"), 2);
}

TEST(PollTest, InsideACallbackDoesNothingAndSaysSo) {
  Pair pair;
  int inside = -1;
  pair.client().call_then(kSmall, "first", {}, [&](const Outcome&) { inside = pair.caller().poll(); });
  const Outcome& second = pair.client().call(kSmall, "second");
  pair.settle();
  EXPECT_EQ(inside, 0);
  EXPECT_ANSWERED(second, "second");
}

TEST(PollTest, ConnectInsideAHandlerIsRefused) {
  Pair pair;
  Code code = Code::ok;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    auto link = pair.server().connect("loopback://elsewhere");
    if (!link) code = link.error().code();
    answer(reply, request);
  };
  const Outcome& outcome = pair.client().call(kSmall, "x");
  pair.settle();
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_EQ(code, Code::failed_precondition);
}

TEST(PollTest, DoesAtMostSoManyUnits) {
  JoinedPair pair;
  for (int i = 0; i != 20; ++i) pair.client->call(kSmall);
  for (int i = 0; i != 20; ++i) ASSERT_TRUE(pair.server.post([] {}));
  for (const int budget : {1, 2, 3, 7}) {
    const int before = pair.service.received[kSmall];
    EXPECT_EQ(pair.server.poll(budget), budget);
    EXPECT_LE(pair.service.received[kSmall] - before, budget);
  }
  EXPECT_EQ(pair.server.poll(0), 0);
  pair.settle();
  EXPECT_EQ(pair.service.received[kSmall], 20);
}

}  // namespace
}  // namespace taut::rpc::testing
