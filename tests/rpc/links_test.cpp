// How links end, cut by the network or destroyed by either side, and what becomes of their calls; many share a
// dispatcher. How they come back: reconnect_test.cpp.
#include <set>

#include "joined_pair.h"
#include "support/seed.h"

namespace taut::rpc::testing {
namespace {

// Five calls of which the server has taken three, and answered none.
struct HalfServed {
  HalfServed() {
    pair.service.on[kSmall] = held.handler();
    for (int i = 0; i != 5; ++i) pair.client().call(kSmall, std::to_string(i));
    EXPECT_EQ(pair.server().poll(3), 3);
    EXPECT_EQ(held.replies.size(), 3u);
  }
  void expect_verdicts(Why why) {
    const auto& calls = pair.client().outcomes();
    EXPECT_ENDED(calls[0], Code::unavailable, Ran::yes, why);
    EXPECT_ENDED(calls[1], Code::unavailable, Ran::yes, why);
    EXPECT_ENDED(calls[2], Code::unavailable, Ran::maybe, why);  // the one at the mark
    EXPECT_ENDED(calls[3], Code::unavailable, Ran::no, why);
    EXPECT_ENDED(calls[4], Code::unavailable, Ran::no, why);
    EXPECT_EQ(pair.service.received[kSmall], 3) << "what is reported as not run does not run afterwards either";
  }
  Pair pair;
  Held held;
};

TEST(CutTest, CallsEndWithTheVerdictOfTheTakenMark) {
  HalfServed half;
  half.pair.network.cut();
  half.pair.settle();
  half.expect_verdicts(Why::peer_died);
}

TEST(CutTest, AGoodbyeGivesTheSameVerdicts) {
  HalfServed half;
  half.pair.network.say_goodbye();
  half.pair.settle();
  half.expect_verdicts(Why::peer_closed);
}

TEST(CutTest, AServerThatIsDestroyedGivesTheSameVerdicts) {
  HalfServed half;
  half.pair.destroy_server();
  half.pair.settle_links();
  half.expect_verdicts(Why::peer_closed);
}

TEST(CutTest, AnswersThatHadArrivedAreAnswers) {
  HalfServed half;
  answer(half.held.replies[1], "in time");
  half.pair.server().poll(0);  // moves the answer to the caller's ring
  half.pair.network.cut();
  half.pair.settle();
  EXPECT_ANSWERED(half.pair.client().outcomes()[1], "in time");
  EXPECT_ENDED(half.pair.client().outcomes()[0], Code::unavailable, Ran::yes, Why::peer_died);
}

TEST(CutTest, EndsAWaitWithTheVerdict) {
  Pair pair;
  pair.server_turns_in_waits();
  pair.time_passes_in_waits(10us);  // the end of a link is heard of once in a control period
  pair.service.on[kSmall] = [&](std::string_view, RawReply) { pair.network.cut(); };
  EXPECT_ENDED(pair.client().wait(kSmall), Code::unavailable, Ran::maybe, Why::peer_died);
  pair.settle_links();
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  pair.until([&] { return pair.client().link().up(); });
  EXPECT_ANSWERED(pair.client().wait(kSmall, "again"), "again");
}

TEST(CutTest, HasNoEffectOnRepliesThatAreStillHeld) {
  HalfServed half;
  half.pair.network.cut();
  half.pair.settle();
  for (RawReply& reply : half.held.replies) {
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply.claim(10), nullptr);
    answer(reply, "to nobody");
    EXPECT_FALSE(reply);
  }
  half.pair.settle_links();
  const Outcome& next = half.pair.client().call(kEcho, "next");
  half.pair.settle();
  EXPECT_ANSWERED(next, "next");
}

// --- destroying

TEST(DestroyTest, ALinkWithCallsUnderWayCancelsThem) {
  HalfServed half;
  half.pair.caller().poll();  // the mark travels with the records: now the caller sees how far the server is
  half.pair.client().close();
  for (const Outcome& outcome : half.pair.client().outcomes()) {
    EXPECT_EQ(outcome.ends, 1);
    EXPECT_EQ(outcome.status.code(), Code::cancelled);
    EXPECT_EQ(outcome.status.why(), Why::link_closed);
  }
  EXPECT_EQ(half.pair.client().outcomes()[0].status.ran(), Ran::yes);
  EXPECT_EQ(half.pair.client().outcomes()[4].status.ran(), Ran::maybe) << "its server lives and may still run it";
  half.pair.settle_links();
  for (RawReply& reply : half.held.replies) answer(reply, "to nobody");
  half.pair.settle_links();
}

TEST(DestroyTest, ALinkBetweenACallAndTheNextTurn) {
  Pair pair;
  Client& other = pair.add_client();
  pair.client().call(kSmall, "sent, and not yet due");
  other.call(kSmall, "of another");
  pair.client().close();
  pair.settle_links();
  EXPECT_EQ(pair.client().outcomes()[0].status.code(), Code::cancelled);
  EXPECT_ANSWERED(other.outcomes()[0], "of another");
}

TEST(DestroyTest, ALinkInItsOwnCallback) {
  Pair pair;
  int ends = 0;
  for (int i = 0; i != 10; ++i) {
    pair.client().call_then(kSmall, "x", {}, [&](const Outcome&) {
      if (++ends == 1) pair.client().close();
    });
  }
  pair.settle_links();
  EXPECT_EQ(ends, 10);
  for (const Outcome& outcome : pair.client().outcomes()) EXPECT_EQ(outcome.ends, 1);
}

TEST(DestroyTest, ALinkInTheCallbackOfACallThatTimedOut) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != 3; ++i) pair.client().call_then(kSmall, {}, {}, [&](const Outcome&) { pair.client().close(); });
  pair.settle();
  pair.pass(2s);
  pair.settle_links();
  for (const Outcome& outcome : pair.client().outcomes()) EXPECT_EQ(outcome.ends, 1);
}

TEST(DestroyTest, ADispatcherBeforeItsLinksEndsTheirCalls) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& pending = pair.client().call(kSmall);
  pair.settle();
  const Outcome& refused = pair.client().call(kSmall, std::string(17 << 20, 'x'));
  pair.destroy_caller();
  EXPECT_EQ(pending.ends, 1);
  EXPECT_EQ(pending.status.code(), Code::cancelled);
  EXPECT_ENDED(refused, Code::out_of_range, Ran::no, Why::too_big);  // its callback had not run yet
  EXPECT_FALSE(pair.client().link().up());
  EXPECT_ENDED(pair.client().wait(kSmall), Code::unavailable, Ran::no, Why::not_connected);
  pair.client().close();
  pair.settle_links();
}

TEST(DestroyTest, ADispatcherWhoseCallbacksAlwaysRetryStillGoes) {
  Pair pair;
  std::function<void()> retry = [&] {
    pair.client().call_then(kSmall, "again", {}, [&](const Outcome& outcome) {
      if (!outcome.status.ok()) retry();
    });
  };
  Held held;
  pair.service.on[kSmall] = held.handler();
  retry();
  pair.settle();
  pair.destroy_caller();
  EXPECT_GE(pair.client().outcomes().size(), 2u);
}

TEST(DestroyTest, AServerThatHasNotTakenALinkYetTellsItsPeer) {
  Pair pair;
  auto link = pair.caller().connect("loopback://bytes");  // the server did not turn meanwhile
  ASSERT_TRUE(link);
  Client client(std::move(*link));
  const Outcome& outcome = client.call(kSmall);
  pair.destroy_server();
  pair.settle_links();
  EXPECT_FALSE(client.link().up());
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::peer_closed);
}

TEST(DestroyTest, AListenerLetsItsLinksLive) {
  Pair pair;
  pair.stop_serving();
  const Outcome& outcome = pair.client().call(kSmall, "still served");
  pair.settle();
  EXPECT_ANSWERED(outcome, "still served");
  EXPECT_FALSE(pair.caller().connect("loopback://bytes?connect_timeout=1ms"));
}

// --- many links

TEST(ManyLinksTest, HotAndColdOnesAreAllAnswered) {
  Pair pair;
  for (int i = 1; i != 64; ++i) pair.add_client();
  const auto all_answer = [&](const std::string& text) {
    std::vector<const Outcome*> outcomes;
    for (std::size_t i = 0; i != 64; ++i) outcomes.push_back(&pair.client(i).call(kSmall, text + std::to_string(i)));
    for (int turn = 0; turn != 200; ++turn) {
      pair.server().poll();
      pair.caller().poll();
    }
    for (std::size_t i = 0; i != 64; ++i) EXPECT_ANSWERED(*outcomes[i], text + std::to_string(i));
  };
  all_answer("hot");
  // Long enough for all but one to be polled seldom.
  for (int i = 0; i != 5000; ++i) {
    pair.client(0).call(kSmall, "busy");
    pair.server().poll();
    pair.caller().poll();
  }
  all_answer("cold");
  all_answer("hot again");
}

TEST(ManyLinksTest, AColdOneIsHeardWhileHotOnesFillEveryTurn) {
  JoinedPair pair;
  std::vector<std::unique_ptr<Client>> hot;
  for (int i = 0; i != 12; ++i) hot.push_back(std::make_unique<Client>(pair.connect()));
  // The first link grows cold while the others are busy.
  for (int i = 0; i != 5000; ++i) {
    for (const auto& client : hot) {
      if (i % 8 == 0) client->call(kSmall, "busy");
    }
    pair.server.poll(1000);
    pair.caller.poll(1000);
    pair.server.poll(1000);
    pair.caller.poll(1000);
  }
  const Outcome& cold = pair.client->call(kSmall, "cold", {.timeout = forever});
  for (int turn = 0; turn != 1000 && !cold.ended(); ++turn) {
    for (const auto& client : hot) {
      while (client->claim(kSmall, 0)) client->call(kSmall, {}, {.timeout = forever});
    }
    ASSERT_GE(pair.server.poll(), 63) << "the hot ones fill the turn";
    pair.caller.poll(1000);
  }
  EXPECT_ANSWERED(cold, "cold");
}

TEST(ManyLinksTest, ASmallBudgetServesThemInTurn) {
  JoinedPair pair;
  Client other(pair.connect());
  for (int i = 0; i != 20; ++i) {
    pair.client->call(kSmall, "one");
    other.call(kSmall, "other");
  }
  std::vector<std::string> order;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    order.emplace_back(request);
    answer(reply, request);
  };
  for (int i = 0; i != 20; ++i) EXPECT_EQ(pair.server.poll(1), 1);
  EXPECT_EQ(std::count(order.begin(), order.end(), "one"), 10);
  EXPECT_EQ(std::count(order.begin(), order.end(), "other"), 10);
}

TEST(ManyLinksTest, OneThatEndsLeavesTheOthersAlone) {
  Pair pair;
  for (int i = 1; i != 20; ++i) pair.add_client();
  taut::testing::Random random;
  std::set<std::size_t> closed;
  for (int round = 0; round != 15; ++round) {
    const std::size_t gone = random.below(20);
    for (std::size_t i = 0; i != 20; ++i) {
      if (!closed.contains(i)) pair.client(i).call(kSmall, "x");
    }
    if (closed.insert(gone).second) pair.client(gone).close();
    pair.settle_links();
    for (std::size_t i = 0; i != 20; ++i) {
      for (const Outcome& outcome : pair.client(i).outcomes()) ASSERT_EQ(outcome.ends, 1);
      if (!closed.contains(i)) {
        ASSERT_TRUE(pair.client(i).outcomes().back().status.ok());
      }
    }
  }
}

}  // namespace
}  // namespace taut::rpc::testing
