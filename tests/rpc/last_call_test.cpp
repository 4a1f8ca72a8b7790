// A server that drains names the last call it may run: callers of later ones need not wait for the end of the link.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::HasSubstr;

struct LastCallTest : ::testing::Test {
  LastCallTest() {
    pair.service.on[kSmall] = held.handler();
    pair.stop_serving();
    auto made = pair.server().serve("loopback://drains", pair.service);
    EXPECT_TRUE(made) << made.error();
    listener.emplace(*std::move(made));
    auto link = pair.caller().connect("loopback://drains");
    EXPECT_TRUE(link) << link.error();
    client.emplace(*std::move(link));
    pair.settle();
  }
  // The server does nothing meanwhile: it is busy, or stopped.
  void only_the_client_turns() {
    for (int i = 0; i != 8; ++i) pair.caller().poll();
  }
  Held held;
  Pair pair;
  std::optional<Listener> listener;
  std::optional<Client> client;
};

TEST_F(LastCallTest, LaterCallsEndAtOnceAndDidNotRun) {
  const Outcome& taken = client->call(kSmall, "taken");
  pair.settle();
  const Outcome& later = client->call(kEcho, "later");
  const Outcome& urgent = client->call(kUrgent, "urgent");
  listener->begin_drain();
  only_the_client_turns();
  EXPECT_ENDED(later, Code::unavailable, Ran::no, Why::draining);
  EXPECT_THAT(std::string(later.status.text()), HasSubstr("will not run"));
  EXPECT_ENDED(urgent, Code::unavailable, Ran::no, Why::draining);
  EXPECT_FALSE(taken.ended());
  answer(held.replies.front(), "answered");
  pair.settle_links();
  EXPECT_ANSWERED(taken, "answered");
  EXPECT_EQ(later.ends, 1) << "the server's own refusal is late";
  EXPECT_EQ(pair.service.received[kEcho] + pair.service.received[kUrgent], 0);
  EXPECT_TRUE(listener->drained());
}

TEST_F(LastCallTest, ACallThatTheOldServerRunsCanBeCancelledThere) {
  Outcome outcome;
  PendingCall pending = send_call(client->filled(kSmall, "x"), 1, {});
  pending.then([&outcome](const RawAnswer& answer) {
    ++outcome.ends;
    outcome.status = answer.status;
  });
  CallRef ref = pending.ref();
  pair.settle();
  listener->begin_drain();
  only_the_client_turns();
  EXPECT_FALSE(client->link().up()) << "it looks for the successor";
  ref.cancel();
  pair.settle();
  EXPECT_ENDED(outcome, Code::cancelled, Ran::maybe, Why::cancelled);
  ASSERT_EQ(held.replies.size(), 1u);
  EXPECT_TRUE(held.replies.front().cancelled());
  held.replies.clear();
}

TEST_F(LastCallTest, AWaitEndsAtOnceToo) {
  client->call(kSmall, "taken");
  pair.settle();
  listener->begin_drain();
  EXPECT_ENDED(client->wait(kEcho, "later", taut::wait(taut::forever)), Code::unavailable, Ran::no, Why::draining);
  EXPECT_EQ(pair.service.received[kEcho], 0);
}

TEST_F(LastCallTest, ACallThatIsMadeAgainReachesTheSuccessorWhileTheOldServerStandsStill) {
  client->call(kSmall, "taken");
  pair.settle();
  Outcome* again = nullptr;
  ByteService successor;
  auto other = std::make_unique<Dispatcher>(transports(pair.network.transport()), [&] {
    DispatcherOptions options;
    options.clock = Clock::manual(&pair.ticks);
    return options;
  }());
  client->call_then(kEcho, "mine", {},
                    [&](const Outcome& outcome) { EXPECT_TRUE(outcome.status.safe_to_retry()) << outcome.status; });
  listener->begin_drain();
  auto next = other->serve("loopback://drains", successor);
  ASSERT_TRUE(next) << next.error();
  for (int i = 0; i != 100 && successor.received[kEcho] == 0; ++i) {
    pair.pass(1ms);
    pair.caller().poll();
    other->poll();
    if (again == nullptr && client->outcomes().back().ended() && client->link().up()) {
      again = &client->call(kEcho, "mine");
    }
  }
  EXPECT_EQ(successor.received[kEcho], 1);
  EXPECT_EQ(pair.service.received[kEcho], 0);
}

TEST_F(LastCallTest, TheCallWhoseHandlerDrainsMayRunHoweverLargeItIs) {
  pair.service.on[kEcho] = [this](std::string_view request, RawReply reply) {
    listener->begin_drain();
    held.handler()(request, std::move(reply));
  };
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{8000}, std::size_t{100'000}}) {
    const Outcome& call = client->call(kEcho, std::string(bytes, 'x'));
    pair.settle();
    ASSERT_EQ(held.replies.size(), 1u) << bytes;
    EXPECT_FALSE(call.ended()) << bytes << ": " << call.status;
    RawReply reply = held.take(0);
    answer(reply, "ran");
    pair.settle_links();
    EXPECT_ANSWERED(call, "ran");
    listener.reset();
    listener.emplace(*pair.server().serve("loopback://drains", pair.service));
    pair.until([&] { return client->link().up(); });
  }
}

TEST_F(LastCallTest, AMessageWhosePiecesAreLeavingDidNotRun) {
  client->call(kSmall, "taken");
  pair.settle();
  const Outcome& large = client->call(kEcho, std::string(1'000'000, 'x'));
  listener->begin_drain();
  only_the_client_turns();
  EXPECT_ENDED(large, Code::unavailable, Ran::no, Why::draining);
  answer(held.replies.front(), "answered");
  pair.settle_links();
  EXPECT_EQ(pair.service.received[kEcho], 0);
  EXPECT_TRUE(listener->drained());
}

// A server of before the positions were there: its clients learn from its answers, or from the goodbye.
TEST(LastCallOfOldServersTest, ADrainThatNamesNoCallEndsNone) {
  JoinedPair joined;
  joined.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  joined.settle();
  const Outcome& call = joined.client->call(kSmall, "x");
  std::byte* ring = const_cast<std::byte*>(joined.memory().lane(0, Lane::normal).in_ring);
  const ring::Head head = ring::Head::make(16, ring::Kind::drain);
  std::memcpy(ring, &head.word, sizeof head.word);
  for (int i = 0; i != 4; ++i) joined.caller.poll();
  EXPECT_FALSE(call.ended()) << call.status;
}

}  // namespace
}  // namespace taut::rpc::testing
