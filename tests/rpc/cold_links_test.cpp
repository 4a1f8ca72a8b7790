// Links that were silent for long are looked at from outside their ends: nothing that arrives, or was read past, may be
// lost between the two ways of polling. Twelve links, so that silent ones grow cold.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using namespace std::chrono_literals;

class ColdLinkTest : public ::testing::Test {
 protected:
  ColdLinkTest() {
    for (int i = 1; i != 11; ++i) others.push_back(std::make_unique<Client>(pair.connect()));
    client.emplace(pair.connect());  // the last one: pair.memory() is its
  }
  // Long enough for every link that nothing is said on.
  void grow_cold() {
    for (int i = 0; i != 5000; ++i) {
      pair.caller.poll();
      pair.server.poll();
    }
  }
  // A call that its server has taken and not answered.
  const Outcome& call_held() {
    pair.service.on[kEcho] = held.handler();
    const Outcome& outcome = client->call(kEcho, "held", {.timeout = forever});
    pair.settle();
    EXPECT_EQ(held.replies.size(), 1u);
    return outcome;
  }

  JoinedPair pair;
  std::vector<std::unique_ptr<Client>> others;
  std::optional<Client> client;
  Held held;
};

TEST_F(ColdLinkTest, HearsItsAnswerAfterALongSilence) {
  const Outcome& outcome = call_held();
  grow_cold();
  answer(held.replies.front(), "late");
  pair.settle();
  EXPECT_ANSWERED(outcome, "late");
}

TEST_F(ColdLinkTest, KeepsWhatAWaitReadPast) {
  client->call(kSmall, "first");  // a lap of the ring begins with a head at 0: the cold one is to be behind it
  const Outcome& outcome = call_held();
  grow_cold();
  // The waits take the ring once around, and leave zeros where the cold link's next head was.
  const std::string zeros(1000, '\0');
  pair.server_turns_in_waits();
  pair.service.on[kBig] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  for (int i = 0; i != 80; ++i) EXPECT_ANSWERED(client->wait(kBig, zeros), zeros);
  pair.service.on[kBig] = [&](std::string_view request, RawReply reply) {
    answer(held.replies.front(), "kept");
    answer(reply, request);
  };
  EXPECT_ANSWERED(client->wait(kBig, zeros), zeros);
  EXPECT_FALSE(outcome.ended()) << "no callback runs inside a wait";
  pair.settle();
  EXPECT_ANSWERED(outcome, "kept");
}

TEST_F(ColdLinkTest, DoesNotBecomeOfOneWithAnOpenClaim) {
  const Outcome& outcome = call_held();
  answer(held.replies.front(), "behind a claim");
  pair.server.poll();
  {
    const CallClaim open = client->claim(kSmall, 8);
    ASSERT_TRUE(open);
    grow_cold();
    EXPECT_EQ(pair.log.count("poll() with an open claim"), 1);
  }
  pair.settle();
  EXPECT_ANSWERED(outcome, "behind a claim");
}

TEST_F(ColdLinkTest, SendsAllPiecesOfALateAnswer) {
  const Outcome& outcome = call_held();
  grow_cold();
  const std::string large(300'000, 'l');  // several times the ring, and sent outside of any turn
  answer(held.replies.front(), large);
  pair.settle();
  EXPECT_ANSWERED(outcome, large);
}

TEST_F(ColdLinkTest, EndsWhenItsPeerBreaksTheRules) {
  const Outcome& outcome = call_held();
  grow_cold();
  std::memset(pair.memory().lane(1, ring::Lane::normal).out_ring, 0xff, LinkOptions{}.ring_bytes);
  pair.settle();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::maybe, Why::peer_violation);
  EXPECT_EQ(pair.log.count("broke the rules"), 1);
  for (const auto& other : others) EXPECT_TRUE(other->link().up());
}

}  // namespace
}  // namespace taut::rpc::testing
