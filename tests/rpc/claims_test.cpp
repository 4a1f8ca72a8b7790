// Claims of calls that are over otherwise than by being sent in time: their link ended, or they were given back.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

constexpr std::uint32_t kClaimed = 40;  // written beside the ring, in memory of the link's end

class TwoClaimsTest : public ::testing::TestWithParam<Method> {
 protected:
  TwoClaimsTest() {
    claims[0].emplace(pair.client->claim(GetParam(), kClaimed));
    claims[1].emplace(pair.client->claim(GetParam() == kSmall ? kUrgent : kSmall, kClaimed));
    EXPECT_TRUE(*claims[0] && *claims[1]);
    pair.joint.made().end(Why::peer_died, "it died");
    pair.settle_links();
    EXPECT_FALSE(pair.client->link().up());
  }
  void expect_back() {
    for (int i = 0; i != 100 && !pair.client->link().up(); ++i) pair.settle_links();
    EXPECT_TRUE(pair.client->link().up());
    EXPECT_EQ(pair.server_counters().requests_received.value(), 0u) << "nothing came of the claims";
    const Outcome& normal = pair.client->call(kSmall, "normal");
    const Outcome& urgent = pair.client->call(kUrgent, "urgent");
    pair.settle();
    EXPECT_ANSWERED(normal, "normal");
    EXPECT_ANSWERED(urgent, "urgent");
    EXPECT_EQ(pair.service.received[kSmall] + pair.service.received[kUrgent], 2);
  }
  JoinedPair pair;
  std::optional<CallClaim> claims[2];
};

TEST_P(TwoClaimsTest, DroppingOneLeavesTheOtherAlone) {
  claims[0].reset();
  pair.settle_links();
  EXPECT_FALSE(pair.client->link().up()) << "not before both are over";
  std::memset(claims[1]->payload(), 'o', claims[1]->payload_room());  // still its own
  pair.settle_links();
  claims[1].reset();
  expect_back();
}

TEST_P(TwoClaimsTest, SendingTheOtherReachesNobody) {
  claims[0].reset();
  pair.settle_links();
  std::memset(claims[1]->payload(), 'o', kClaimed);
  Outcome outcome;
  send_call(std::move(*claims[1]), kClaimed, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.status = got.status;
  });
  pair.settle_links();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
  expect_back();
}

TEST_P(TwoClaimsTest, WaitingForTheOtherReachesNobody) {
  claims[0].reset();
  pair.settle_links();
  std::memset(claims[1]->payload(), 'o', kClaimed);
  AnswerBuffer buffer;
  const Outcome outcome{1, wait_call(std::move(*claims[1]), kClaimed, wait, buffer), {}};
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
  expect_back();
}

TEST_P(TwoClaimsTest, SendingOneLeavesTheOtherAlone) {
  for (auto& claim : claims) {
    std::memset(claim->payload(), 'o', claim->payload_room());
    (void)send_call(std::move(*claim), kClaimed, {});
    pair.settle_links();
  }
  expect_back();
}

INSTANTIATE_TEST_SUITE_P(FirstOver, TwoClaimsTest, ::testing::Values(kSmall, kUrgent),
                         [](const auto& info) { return info.param == kSmall ? "Normal" : "Urgent"; });

TEST(RoomTest, ThatWasGivenBackIsNotSent) {
  JoinedPair pair;
  LinkState& link = pair.client->link().state();
  const BoundMethod& method = bind(link, ByteService::described()).methods[kSmall];
  const CallRoom room = claim_room(link, method, kClaimed);
  ASSERT_NE(room.payload, nullptr);
  drop_room(link, method, room.payload);
  Outcome outcome;
  PendingCall(link, send_room(link, method, room, kClaimed, {})).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.status = got.status;
  });
  pair.settle();
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
  EXPECT_EQ(pair.server_counters().requests_received.value(), 0u);
}

}  // namespace
}  // namespace taut::rpc::testing
