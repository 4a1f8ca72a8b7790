// How calls end that do not end well: code, ran, why and the sentence, as the caller sees them.
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
  pair.client().call_then(kSmall, std::string(17 << 20, 'x'), {}, [](const Outcome&) { throw 7; });
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_EQ(pair.log.count("from a callback"), 1);
  EXPECT_EQ(pair.log.count("a callback"), 2);
  EXPECT_ANSWERED(next, "next");
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
