// Every queue has a bound, and what is over it is answered at once: grants, ring space, room for answers.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

constexpr int kGranted = 64;

TEST(GrantTest, OneCallMoreThanGrantedIsRefusedAndDidNotRun) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != kGranted; ++i) pair.client().call(kSmall, std::to_string(i));
  const Outcome& over = pair.client().call(kSmall, "over");
  EXPECT_FALSE(over.ended()) << "its callback runs in a later turn, never inside then()";
  pair.caller().poll();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  EXPECT_THAT(std::string(over.status.text()), ::testing::HasSubstr("inflight="));
  EXPECT_TRUE(over.status.safe_to_retry());
  pair.settle();
  EXPECT_EQ(held.replies.size(), static_cast<std::size_t>(kGranted));
  while (!held.replies.empty()) answer(held.replies.front(), held.requests.front()), held.take(0);
  pair.settle();
  for (int i = 0; i != kGranted; ++i)
    EXPECT_ANSWERED(pair.client().outcomes()[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(GrantTest, AWaitOverTheGrantIsRefusedAtOnce) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != kGranted; ++i) pair.client().call(kSmall);
  EXPECT_ENDED(pair.client().wait(kSmall), Code::resource_exhausted, Ran::no, Why::calls_in_flight);
}

TEST(GrantTest, ComesBackWhenItsAnswerWasHandled) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != kGranted; ++i) pair.client().call(kSmall);
  pair.settle();
  answer(held.replies.front(), "one");
  held.take(0);
  pair.settle();
  const Outcome& next = pair.client().call(kSmall);
  const Outcome& over = pair.client().call(kSmall);
  pair.settle();
  EXPECT_FALSE(next.ended());
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
}

TEST(GrantTest, IsThereForTheCallThatACallbackMakes) {
  Pair pair;
  int answered = 0;
  for (int i = 0; i != kGranted; ++i) {
    pair.client().call_then(kSmall, "first", {}, [&](const Outcome&) {
      pair.client().call_then(kSmall, "second", {},
                              [&](const Outcome& second) { answered += second.status.ok() ? 1 : 0; });
    });
  }
  pair.settle();
  EXPECT_EQ(answered, kGranted);
}

TEST(GrantTest, OfACallThatTimedOutComesBackOnlyWithItsLateAnswer) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != kGranted; ++i) pair.client().call(kSmall);
  pair.settle();
  pair.pass(2s);
  pair.settle();
  EXPECT_TRUE(pair.client().outcomes().back().ended());
  const Outcome& refused = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ENDED(refused, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  answer(held.replies.front(), "late");
  pair.settle();
  const Outcome& next = pair.client().call(kSmall, {}, {.timeout = forever});
  pair.settle();
  EXPECT_FALSE(next.ended());
  EXPECT_EQ(pair.client().outcomes().front().ends, 1) << "a late answer does not end its call again";
}

TEST(GrantTest, LanesHaveTheirOwn) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != kGranted; ++i) pair.client().call(kSmall);
  const Outcome& urgent = pair.client().call(kUrgent, "past them");
  pair.settle();
  EXPECT_ANSWERED(urgent, "past them");
}

TEST(RingFullTest, RefusesACallAndLosesNone) {
  Pair pair;
  // 16 KiB each: the ring of 64 KiB holds three beside what it keeps free.
  const std::string large(16 * 1024 - 32, 'l');
  for (int i = 0; i != 8; ++i) pair.client().call(kSmall, large);
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) {
    answer(reply, std::to_string(request.size()));
  };
  pair.settle();
  int answered = 0;
  for (const Outcome& outcome : pair.client().outcomes()) {
    if (outcome.status.ok()) {
      EXPECT_ANSWERED(outcome, std::to_string(large.size()));
      ++answered;
    } else {
      EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::no, Why::ring_full);
      EXPECT_THAT(std::string(outcome.status.text()), ::testing::HasSubstr("ring="));
    }
  }
  EXPECT_EQ(answered, pair.service.received[kSmall]);
  EXPECT_GE(answered, 2);
  EXPECT_LT(answered, 8);
  const Outcome& next = pair.client().call(kSmall, large);
  pair.settle();
  EXPECT_ANSWERED(next, std::to_string(large.size()));
}

TEST(ReplyRoomTest, WhatCannotBePromisedIsRefusedBeforeTheWork) {
  Pair pair;
  Held held;
  pair.service.on[kBig] = held.handler();
  const Outcome& first = pair.client().call(kBig, "first");
  const Outcome& second = pair.client().call(kBig, "second");
  pair.settle();
  EXPECT_FALSE(first.ended());
  EXPECT_ENDED(second, Code::resource_exhausted, Ran::no, Why::reply_room);
  EXPECT_EQ(pair.service.received[kBig], 1);
  const std::string largest(16 * 1024 - 16, 'r');
  answer(held.replies[0], largest);
  pair.settle();
  EXPECT_ANSWERED(first, largest);
  const Outcome& third = pair.client().call(kBig, "third");
  pair.settle();
  EXPECT_FALSE(third.ended());
  EXPECT_EQ(pair.service.received[kBig], 2);
}

TEST(ReplyRoomTest, APromiseIsKeptHoweverManySmallAnswersPassBefore) {
  // Just below each kind of wrap, and with small answers that leave the ring at every offset.
  for (const std::uint64_t first : {0ull, (1ull << 32) - 64, ~0ull - 63}) {
    JoinedPair pair("", first);
    Held held;
    pair.service.on[kBig] = held.handler();
    const std::string largest(16 * 1024 - 16, 'r');
    for (int round = 0; round != 300; ++round) {
      const Outcome& big = pair.client->call(kBig, "big", {.timeout = forever});
      for (int i = 0; i != 5 * (round % 40); ++i) {
        pair.client->call(kSmall, std::to_string(i));
        pair.server.poll();
        if (i % 2 == 0) pair.caller.poll(1);  // never finds nothing, so that the reader publishes as late as it may
      }
      pair.server.poll();
      ASSERT_EQ(held.replies.size(), 1u);
      answer(held.replies.front(), largest);
      held.take(0);
      pair.settle();
      ASSERT_EQ(big.ends, 1);
      ASSERT_TRUE(big.status.ok()) << big.status;
      ASSERT_EQ(big.payload, largest);
    }
    EXPECT_TRUE(pair.client->link().up());
  }
}

TEST(TooBigTest, ARequestAboveWhatTheServerTakesIsRefused) {
  Pair pair("?message_max=8KiB");
  const Outcome& outcome = pair.client().call(kSmall, std::string(16 * 1024 - 31, 'x'));
  const Outcome& enormous = pair.client().call(kSmall, std::string(1 << 20, 'x'));
  EXPECT_ENDED(pair.client().wait(kSmall, std::string(16 * 1024 - 31, 'x')), Code::out_of_range, Ran::no, Why::too_big);
  pair.settle();
  EXPECT_ENDED(outcome, Code::out_of_range, Ran::no, Why::too_big);
  EXPECT_ENDED(enormous, Code::out_of_range, Ran::no, Why::too_big);
  EXPECT_EQ(pair.service.received[kSmall], 0);
  EXPECT_FALSE(pair.client().claim(kSmall, ~0u));
}

TEST(TooBigTest, WritingPastTheClaimsRoomSendsNothing) {
  Pair pair;
  Outcome outcome;
  CallClaim claim = pair.client().claim(kSmall, 10);
  const std::uint32_t over = claim.payload_room() + 1;
  send_call(std::move(claim), over, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.status = got.status;
  });
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ENDED(outcome, Code::out_of_range, Ran::no, Why::too_big);
  EXPECT_ANSWERED(next, "next");
  EXPECT_EQ(pair.service.received[kSmall], 1);
}

TEST(TooBigTest, AnAnswerAboveWhatTheClientTakesBecomesAnError) {
  Pair pair("?message_max=8KiB");
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) { answer(reply, std::string(17 * 1024, 'x')); };
  const Outcome& outcome = pair.client().call(kEcho);
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
  EXPECT_THAT(std::string(outcome.status.text()), ::testing::HasSubstr("17408"));
}

TEST(TooBigTest, AnAnswerBeyondWhatWasReservedIsSentWhenTheRingHasRoom) {
  Pair pair;
  pair.service.on[kSmall] = [](std::string_view, RawReply reply) { answer(reply, std::string(3000, 'x')); };
  const Outcome& outcome = pair.client().call(kSmall);
  pair.settle();
  EXPECT_ANSWERED(outcome, std::string(3000, 'x'));
}

TEST(TooBigTest, AnAnswerThatRanPastItsRoomBecomesAnErrorAndTheLinkGoesOn) {
  Pair pair;
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) {
    ASSERT_NE(reply.claim(100), nullptr);
    reply.refuse_too_big(4711);
  };
  const Outcome& outcome = pair.client().call(kEcho);
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::yes, Why::too_big);
  EXPECT_ANSWERED(next, "next");
}

TEST(TooBigTest, AnAnswerThatWasClaimedAndLetGoIsAborted) {
  Pair pair;
  pair.service.on[kEcho] = [](std::string_view, RawReply reply) { ASSERT_NE(reply.claim(100), nullptr); };
  const Outcome& outcome = pair.client().call(kEcho);
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ENDED(outcome, Code::aborted, Ran::yes, Why::reply_dropped);
  EXPECT_ANSWERED(next, "next");
}

TEST(TooBigTest, ARefusalWhileAnotherAnswerIsClaimedStillReachesItsCall) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& claimed = pair.client().call(kSmall, "claimed");
  const Outcome& refused = pair.client().call(kSmall, "refused");
  pair.settle();
  RawReply reply = held.take(0);
  std::byte* room = reply.claim(5);
  ASSERT_NE(room, nullptr);
  held.take(0).refuse(Code::not_found, Why::none, "not here");
  std::memcpy(room, "claim", 5);
  reply.send(5);
  pair.settle_links();
  EXPECT_ANSWERED(claimed, "claim");
  EXPECT_ENDED(refused, Code::not_found, Ran::yes, Why::none);
}

}  // namespace
}  // namespace taut::rpc::testing
