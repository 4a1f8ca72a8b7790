// A wait polls its own link, keeps what else arrives for the next poll, and runs no callback.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

TEST(WaitTest, KeepsAnswersThatArriveBeforeItsOwnForTheNextPoll) {
  Pair pair;
  pair.server_turns_in_waits();
  for (int i = 0; i != 10; ++i) pair.client().call(kSmall, std::to_string(i));
  EXPECT_ANSWERED(pair.client().wait(kSmall, "waited"), "waited");
  for (const Outcome& outcome : pair.client().outcomes())
    EXPECT_FALSE(outcome.ended()) << "no callback runs inside a wait";
  EXPECT_GT(pair.caller().poll(), 0);
  for (int i = 0; i != 10; ++i)
    EXPECT_ANSWERED(pair.client().outcomes()[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(WaitTest, LeavesAnswersThatArriveBehindItsOwn) {
  Pair pair;
  pair.server_turns_in_waits();
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& earlier = pair.client().call(kSmall, "earlier");
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    answer(reply, request);
    answer(held.replies.front(), "behind");
  };
  EXPECT_ANSWERED(pair.client().wait(kEcho, "waited"), "waited");
  EXPECT_FALSE(earlier.ended());
  pair.settle();
  EXPECT_ANSWERED(earlier, "behind");
}

TEST(WaitTest, KeepsLargeAnswersWhole) {
  for (const char* check : {"?check=in_place", "?check=copy"}) {
    Pair pair(check);
    pair.server_turns_in_waits();
    const std::string large(4000, 'k');
    const Outcome& kept = pair.client().call(kEcho, large);
    EXPECT_ANSWERED(pair.client().wait(kEcho, "waited"), "waited");
    pair.settle();
    EXPECT_ANSWERED(kept, large);
  }
}

TEST(WaitTest, KeepsUrgentAndNormalAnswersApart) {
  Pair pair;
  pair.server_turns_in_waits();
  const Outcome& urgent = pair.client().call(kUrgent, "urgent");
  const Outcome& normal = pair.client().call(kSmall, "normal");
  EXPECT_ANSWERED(pair.client().wait(kUrgent, "waited"), "waited");
  EXPECT_ANSWERED(pair.client().wait(kSmall, "waited too"), "waited too");
  EXPECT_FALSE(urgent.ended() || normal.ended());
  pair.settle();
  EXPECT_ANSWERED(urgent, "urgent");
  EXPECT_ANSWERED(normal, "normal");
}

TEST(WaitTest, ManyWaitsBehindAKeptAnswerAreRefusedBeforeTheyFillTheRing) {
  // The grant of a waited call is in use until its answer is released, and that happens in ring order.
  JoinedPair pair;
  pair.server_turns_in_waits();
  const Outcome& kept = pair.client->call(kSmall, "kept");
  int answered = 0, refused = 0;
  for (int i = 0; i != 3000; ++i) {
    const Outcome outcome = pair.client->wait(kSmall, std::to_string(i));
    if (outcome.status.ok()) {
      ASSERT_EQ(outcome.payload, std::to_string(i));
      ++answered;
    } else {
      ASSERT_EQ(outcome.status.code(), Code::resource_exhausted) << i << ": " << outcome.status;
      ASSERT_EQ(outcome.status.ran(), Ran::no);
      ++refused;
    }
    if (i == 2000) {
      EXPECT_FALSE(kept.ended());
      pair.caller.poll();
      EXPECT_TRUE(kept.ended());
    }
  }
  EXPECT_GT(answered, 900);
  EXPECT_GT(refused, 900);
  EXPECT_TRUE(pair.client->link().up());
  pair.settle();
  EXPECT_ANSWERED(kept, "kept");
}

TEST(WaitTest, AloneNeedsNoPoll) {
  JoinedPair pair;
  pair.server_turns_in_waits();
  for (int i = 0; i != 5000; ++i) EXPECT_ANSWERED(pair.client->wait(kSmall, std::to_string(i)), std::to_string(i));
}

TEST(WaitTest, ReturnsTheHandlersRefusal) {
  Pair pair;
  pair.server_turns_in_waits();
  pair.service.on[kSmall] = [](std::string_view, RawReply reply) {
    reply.refuse(Code::permission_denied, Why::none, "not you");
  };
  const Outcome outcome = pair.client().wait(kSmall);
  EXPECT_ENDED(outcome, Code::permission_denied, Ran::yes, Why::none);
  EXPECT_EQ(outcome.status.text(), "not you");
}

TEST(WaitTest, EndsAtItsTimeoutAndALateAnswerHarmsNobody) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  pair.server_turns_in_waits();
  pair.time_passes_in_waits(1us);
  const Ticks before = pair.ticks;
  EXPECT_ENDED(pair.client().wait(kSmall, "x", wait(50us)), Code::deadline_exceeded, Ran::maybe, Why::timeout);
  EXPECT_GE(pair.ticks - before, 50'000u);
  EXPECT_LT(pair.ticks - before, 60'000u);
  answer(held.replies.front(), "late");
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  EXPECT_ANSWERED(pair.client().wait(kSmall, "next"), "next");
}

TEST(WaitTest, ForeverOutlastsTheDefault) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  pair.service.on[kEcho] = nullptr;
  pair.server_turns_in_waits();
  pair.time_passes_in_waits(100ms);
  const Ticks start = pair.ticks;
  // Answers its call once ten seconds have passed.
  std::function<void()> look = [&] {
    if (!held.replies.empty() && pair.ticks - start > 10'000'000'000)
      answer(held.replies.front(), "after ten seconds"), held.take(0);
    else
      EXPECT_TRUE(pair.server().post([&] { look(); }));
  };
  look();
  EXPECT_ANSWERED(pair.client().wait(kSmall, "x", wait(forever)), "after ten seconds");
}

TEST(WaitTest, InsideAHandlerIsRefusedBeforeAnythingIsSent) {
  Pair pair;
  Outcome inside;
  Client& upstream = pair.client();
  // The caller's dispatcher serves too, and its handler waits.
  ByteService second;
  auto listener = pair.caller().serve("loopback://second", second);
  ASSERT_TRUE(listener);
  auto link = pair.server().connect("loopback://second");
  ASSERT_TRUE(link);
  Client client(std::move(*link));
  second.on[kSmall] = [&](std::string_view, RawReply reply) {
    inside = upstream.wait(kSmall, "never sent");
    answer(reply, "done");
  };
  const Outcome& outcome = client.call(kSmall);
  pair.settle();
  EXPECT_ANSWERED(outcome, "done");
  EXPECT_ENDED(inside, Code::failed_precondition, Ran::no, Why::inside_handler);
  EXPECT_THAT(std::string(inside.status.text()), ::testing::HasSubstr("then()"));
  EXPECT_EQ(pair.service.received[kSmall], 0);
  // Its claim was given back.
  const Outcome& next = upstream.call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
}

TEST(WaitTest, InsideACallbackIsRefusedBeforeAnythingIsSent) {
  Pair pair;
  Outcome inside;
  pair.client().call_then(kSmall, "outer", {}, [&](const Outcome&) { inside = pair.client().wait(kSmall, "inner"); });
  pair.settle();
  EXPECT_ENDED(inside, Code::failed_precondition, Ran::no, Why::inside_handler);
  EXPECT_EQ(pair.service.received[kSmall], 1);
}

TEST(WaitTest, InsideTheCallbackOfARefusedCallIsRefusedToo) {
  Pair pair;
  Outcome inside;
  pair.client().call_then(kSmall, std::string(17 << 20, 'x'), {},
                          [&](const Outcome&) { inside = pair.client().wait(kSmall); });
  pair.settle();
  EXPECT_ENDED(inside, Code::failed_precondition, Ran::no, Why::inside_handler);
}

TEST(WaitTest, InAPostedFunctionIsAnswered) {
  // A posted function runs between two turns: no handler and no callback is under way.
  Pair pair;
  pair.server_turns_in_waits();
  for (int i = 0; i != 5; ++i) pair.client().call(kSmall, "busy");
  Outcome inside;
  ASSERT_TRUE(pair.caller().post([&] { inside = pair.client().wait(kSmall, "posted"); }));
  pair.settle();
  EXPECT_ANSWERED(inside, "posted");
}

}  // namespace
}  // namespace taut::rpc::testing
