// A server that goes in good order: it answers what it took, refuses the rest, and nothing is left in doubt.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

struct DrainTest : ::testing::Test {
  void SetUp() override {
    pair.service.on[kSmall] = held.handler();
    pair.stop_serving();
  }
  // The pair's own listener is hidden, so that this test has one to drain.
  void make_link() {
    auto made = pair.server().serve("loopback://drains", pair.service);
    ASSERT_TRUE(made) << made.error();
    listener.emplace(*std::move(made));
    auto link = pair.caller().connect("loopback://drains");
    ASSERT_TRUE(link) << link.error();
    client.emplace(*std::move(link));
    pair.settle();
  }
  Held held;
  Pair pair;
  std::optional<Listener> listener;
  std::optional<Client> client;
};

TEST_F(DrainTest, WhatWasTakenIsAnsweredBeforeTheLinkEnds) {
  make_link();
  const Outcome& taken = client->call(kSmall, "taken");
  pair.settle();
  listener->begin_drain();
  pair.settle_links();
  EXPECT_FALSE(taken.ended());
  EXPECT_FALSE(listener->drained());
  answer(held.replies.front(), "late");
  EXPECT_FALSE(listener->drained()) << "the answer is on its way";
  pair.settle_links();
  EXPECT_ANSWERED(taken, "late");
  EXPECT_TRUE(listener->drained());
}

TEST_F(DrainTest, WhatWasNotTakenIsRefusedAndDidNotRun) {
  make_link();
  client->call(kSmall, "keeps the link");
  pair.settle();
  const Outcome& on_its_way = client->call(kEcho, "on its way");  // before the client hears of it
  listener->begin_drain();
  pair.settle();
  EXPECT_ENDED(on_its_way, Code::unavailable, Ran::no, Why::draining);
  const Outcome& later = client->call(kEcho, "later");
  pair.settle();
  EXPECT_ENDED(later, Code::unavailable, Ran::no, Why::not_connected);  // the link looks for the successor already
  EXPECT_EQ(pair.service.received[kEcho], 0);
}

TEST_F(DrainTest, AClientThatWasToldSendsNothingMore) {
  make_link();
  client->call(kSmall, "keeps the link");
  pair.settle();
  listener->begin_drain();
  pair.settle();
  EXPECT_FALSE(client->link().up()) << "it looks for the successor in the turn in which it was told";
  pair.network.hold(true);
  EXPECT_ENDED(client->wait(kEcho, "refused here"), Code::unavailable, Ran::no, Why::not_connected);
}

TEST_F(DrainTest, DrainPollsUntilItIsDone) {
  make_link();
  const Outcome& taken = client->call(kSmall, "taken");
  pair.settle();
  ASSERT_TRUE(pair.server().post([this] { answer(held.replies.front(), "posted"); }));
  EXPECT_TRUE(listener->drain());
  EXPECT_TRUE(listener->drained());
  pair.settle_links();
  EXPECT_ANSWERED(taken, "posted");
}

TEST_F(DrainTest, ADrainThatTakesTooLongEndsTheLinksWithTheirVerdicts) {
  make_link();
  const Outcome& first = client->call(kSmall, "first");
  const Outcome& last = client->call(kSmall, "last");
  pair.settle();
  EXPECT_FALSE(listener->drain(0ns));
  pair.settle_links();
  EXPECT_EQ(first.status.ran(), Ran::yes) << first.status;
  EXPECT_EQ(last.status.ran(), Ran::maybe) << last.status;
}

// The successor takes the name while the old server still works, and the client is told of both.
TEST_F(DrainTest, TheLinkGoesOnToTheSuccessorWhileTheOldServerStillAnswers) {
  make_link();
  std::string news;
  client->link().on_link([&news](bool up) { news += up ? "up " : "down "; });
  const Outcome& old = client->call(kSmall, "old");
  pair.settle();
  listener->begin_drain();
  ByteService successor;
  auto next = pair.server().serve("loopback://drains", successor);
  ASSERT_TRUE(next) << next.error();
  pair.settle_links();
  EXPECT_EQ(news, "down up ");
  const Outcome& fresh = client->call(kEcho, "new");
  pair.settle();
  EXPECT_ANSWERED(fresh, "new");
  EXPECT_EQ(successor.received[kEcho], 1);
  EXPECT_FALSE(old.ended());
  answer(held.replies.front(), "of the old server");
  pair.settle_links();
  EXPECT_ANSWERED(old, "of the old server");
  EXPECT_TRUE(client->link().up());
  EXPECT_EQ(news, "down up ") << "that the old end went is no news";
}

TEST_F(DrainTest, ALinkClosedByItsClientEndsAtTheDrainingServerToo) {
  make_link();
  const Outcome& taken = client->call(kSmall, "taken");
  pair.settle();
  listener->begin_drain();
  pair.settle_links();
  client->close();
  EXPECT_ENDED(taken, Code::cancelled, Ran::maybe, Why::link_closed);
  answer(held.replies.front(), "nobody is there");
  EXPECT_TRUE(listener->drain());
}

TEST_F(DrainTest, ALinkThatWasBeingMadeIsDrainedToo) {
  make_link();
  auto second = pair.caller().connect("loopback://drains");  // the server has not taken it yet
  ASSERT_TRUE(second) << second.error();
  Client late(*std::move(second));
  const Outcome& call = late.call(kEcho, "late");
  listener->begin_drain();
  pair.settle_links();
  EXPECT_ENDED(call, Code::unavailable, Ran::no, Why::draining);
  EXPECT_TRUE(listener->drained());
}

TEST_F(DrainTest, AClientThatOnlyWaitsIsNeverInDoubt) {
  make_link();
  pair.server_turns_in_waits();
  EXPECT_ANSWERED(client->wait(kEcho, "before"), "before");
  listener->begin_drain();
  const Outcome refused = client->wait(kEcho, "after");
  EXPECT_EQ(refused.status.ran(), Ran::no) << refused.status;
  EXPECT_EQ(refused.status.why(), Why::draining) << refused.status;
  EXPECT_EQ(pair.service.received[kEcho], 1);
}

TEST_F(DrainTest, InsideAHandlerItIsRefusedAndSaidSo) {
  make_link();
  bool done = true;
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    done = listener->drain();
    answer(reply, request);
  };
  const Outcome& call = client->call(kEcho, "x");
  pair.settle();
  EXPECT_FALSE(done);
  EXPECT_ANSWERED(call, "x");
  EXPECT_EQ(pair.log.count("drain() inside a handler"), 1);
}

TEST_F(DrainTest, AClientThatSaysItDrainsBreaksTheRules) {
  JoinedPair joined;
  joined.settle();
  const Counters& counters = joined.server_counters();  // of this link: the client will make another one
  std::byte* ring = const_cast<std::byte*>(joined.memory().lane(1, Lane::normal).in_ring);
  const ring::Head head = ring::Head::make(16, ring::Kind::drain);
  std::memcpy(ring, &head.word, sizeof head.word);
  joined.settle_links();
  EXPECT_EQ(counters.violations.value(), 1u);
}

}  // namespace
}  // namespace taut::rpc::testing
