// Warming up: calls over the whole path that run no handler.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

TEST(WarmUpTest, GoesOverBothLanesOfBothSidesAndRunsNoHandler) {
  JoinedPair pair;
  pair.server_turns_in_waits();
  const Status status = pair.client->link().warm_up(4096);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(pair.server_counters().requests_received.value(), 4096u + 512u);
  EXPECT_EQ(pair.server_counters().answers_sent.value(), 4096u + 512u);
  EXPECT_EQ(pair.client_counters().answers_received.value(), 4096u + 512u);
  for (const Lane lane : {Lane::normal, Lane::urgent}) {
    EXPECT_GE(pair.memory().lane(1, lane).own->released.load(), 4 * 8 * 1024u) << "the ring was gone round";
    EXPECT_EQ(pair.memory().lane(1, lane).own->taken.position.load(), 0u) << "nothing was taken";
  }
  EXPECT_EQ(pair.service.received, decltype(pair.service.received){});
  EXPECT_ANSWERED(pair.client->wait(kSmall, "warm"), "warm");
}

TEST(WarmUpTest, EndsWithTheFirstCallThatHasNoAnswer) {
  Pair pair;
  pair.time_passes_in_waits(1ms);  // and nobody turns the server
  const Status status = pair.client().link().warm_up();
  EXPECT_EQ(status.why(), Why::timeout) << status;
}

TEST(WarmUpTest, InsideAHandlerIsRefused) {
  Pair pair;
  Why why = Why::none;
  pair.client().call_then(kSmall, "x", {}, [&](const Outcome&) { why = pair.client().link().warm_up(1).why(); });
  pair.settle();
  EXPECT_EQ(why, Why::inside_handler);
}

TEST(WarmUpTest, WithoutAServerIsRefused) {
  Pair pair;
  pair.destroy_server();
  pair.settle_links();
  const Status status = pair.client().link().warm_up();
  EXPECT_EQ(status.why(), Why::not_connected) << status;
}

}  // namespace
}  // namespace taut::rpc::testing
