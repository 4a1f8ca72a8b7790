// A link that ended comes back by itself, to the same server or the next one; on_link() tells of it.
#include <functional>
#include <stdexcept>

#include "pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Cuts every link and turns until the client has its next one. It may have it within one turn, so whether it is up
// says something only after the caller has heard of the cut.
void cut_and_come_back(Pair& pair) {
  pair.network.cut();
  pair.settle();
  pair.until([&] { return pair.client().link().up(); });
}

TEST(ReconnectTest, TheSameLinkCallsTheServerThatComesBack) {
  Pair pair;
  pair.destroy_server();
  pair.settle_links();
  EXPECT_FALSE(pair.client().link().up());
  const Outcome& between = pair.client().call(kSmall);
  EXPECT_ENDED(pair.client().wait(kSmall), Code::unavailable, Ran::no, Why::not_connected);
  pair.settle();
  EXPECT_ENDED(between, Code::unavailable, Ran::no, Why::not_connected);
  EXPECT_THAT(std::string(between.status.text()), HasSubstr("reconnects by itself"));
  pair.restart_server();
  pair.until([&] { return pair.client().link().up(); });
  const Outcome& after = pair.client().call(kSmall, "after");
  pair.settle();
  EXPECT_ANSWERED(after, "after");
}

TEST(ReconnectTest, AClientThatOnlyWaitsComesBackToo) {
  Pair pair;
  pair.server_turns_in_waits();
  pair.time_passes_in_waits(10us);  // the end of a link is heard of once in a control period
  pair.network.cut();
  Outcome outcome = pair.client().wait(kSmall, "waited");
  while (!outcome.status.ok()) {
    ASSERT_EQ(outcome.status.code(), Code::unavailable) << outcome.status;
    pair.pass(1ms);
    outcome = pair.client().wait(kSmall, "waited");
  }
  EXPECT_EQ(outcome.payload, "waited");
}

// Its methods stand before those of ByteService when both are served.
class FirstService final : public Service {
 public:
  [[nodiscard]] const ServiceDescription& description() const noexcept override {
    static const MethodDescription methods[] = {{.name = "First",
                                                 .id = 1,
                                                 .request_bound = 0,
                                                 .reply_bound = 48,
                                                 .request = "q",
                                                 .reply = "r",
                                                 .serve = [](Service&, ServedCall& call) {
                                                   call.taken();
                                                   RawReply reply = call.reply();
                                                   answer(reply, "the first service");
                                                 }}};
    static const ServiceDescription first{"test.First", 1, methods, {}};
    return first;
  }
};

TEST(ReconnectTest, BindingsAreFilledFromTheNewMethodTable) {
  Pair pair;
  FirstService first;
  pair.stop_serving();
  auto listening = pair.server().serve("loopback://bytes", first, pair.service);
  ASSERT_TRUE(listening);
  cut_and_come_back(pair);
  const Outcome& outcome = pair.client().call(kSmall, "same method, other index");
  pair.settle();
  EXPECT_ANSWERED(outcome, "same method, other index");
}

TEST(ReconnectTest, BackAndForthManyTimes) {
  Pair pair;
  for (int i = 0; i != 50; ++i) {
    cut_and_come_back(pair);
    const Outcome& outcome = pair.client().call(kSmall, std::to_string(i));
    pair.settle();
    ASSERT_EQ(outcome.payload, std::to_string(i));
  }
}

TEST(ReconnectTest, ARetryMadeWhenTheLinkEndedGoesToTheNewOneOrEnds) {
  Pair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  Outcome* retry = nullptr;
  pair.client().call_then(kSmall, {}, {}, [&](const Outcome&) { retry = &pair.client().call(kEcho, "retried"); });
  pair.settle();
  pair.network.cut();
  pair.settle_links();
  ASSERT_NE(retry, nullptr);
  EXPECT_EQ(retry->ends, 1);
  if (!retry->status.ok()) {
    EXPECT_ENDED(*retry, Code::unavailable, Ran::no, Why::not_connected);
  }
}

// As many as a batch has: a turn full of them must read the clock all the same, or the control plane has no turn.
TEST(ReconnectTest, CallsThatAreRepeatedWithoutAPauseDoNotKeepTheLinkDown) {
  Pair pair;
  pair.destroy_server();
  pair.settle_links();
  bool again = true;
  std::function<void(const Outcome&)> repeat = [&](const Outcome&) {
    if (again) pair.client().call_then(kSmall, "again", {}, [&](const Outcome& outcome) { repeat(outcome); });
  };
  for (int i = 0; i != 16; ++i) repeat({});
  pair.restart_server();
  for (int i = 0; i != 100 && !pair.client().link().up(); ++i) {
    pair.pass(1ms);
    pair.server().poll();
    pair.caller().poll();
  }
  EXPECT_TRUE(pair.client().link().up());
  again = false;
  pair.settle();
}

TEST(ReconnectTest, AClaimThatWasOpenWhenTheLinkEndedIsRefusedAndTouchesNothing) {
  Pair pair;
  CallClaim claim = pair.client().claim(kSmall, 40);
  ASSERT_TRUE(claim);
  pair.network.cut();
  for (int i = 0; i != 5; ++i) {
    pair.pass(1ms);
    pair.server().poll();
    pair.caller().poll();
  }
  std::memset(claim.payload(), 'c', 40);  // its ring is still there
  Outcome outcome;
  send_call(std::move(claim), 40, {}).then([&](const RawAnswer& got) {
    ++outcome.ends;
    outcome.status = got.status;
  });
  pair.until([&] { return pair.client().link().up(); });
  EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
  EXPECT_EQ(pair.service.received[kSmall], 1);
}

TEST(ReconnectTest, AClaimThatWasOpenWhenTheLinkEndedMayBeDropped) {
  Pair pair;
  {
    const CallClaim claim = pair.client().claim(kSmall, 40);
    ASSERT_TRUE(claim);
    pair.network.cut();
    pair.settle_links();
    EXPECT_FALSE(pair.client().link().up()) << "not before the claim is over";
  }
  pair.until([&] { return pair.client().link().up(); });
  const Outcome& next = pair.client().call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
}

// --- on_link

TEST(OnLinkTest, TellsOfEachEndAndEachReturn) {
  Pair pair;
  std::vector<bool> heard;
  pair.client().link().on_link([&](bool up) { heard.push_back(up); });
  pair.settle_links();
  EXPECT_THAT(heard, ElementsAre()) << "that it is up is what connect() said";
  pair.destroy_server();
  pair.settle_links();
  EXPECT_THAT(heard, ElementsAre(false));
  pair.restart_server();
  pair.until([&] { return pair.client().link().up(); });
  EXPECT_THAT(heard, ElementsAre(false, true));
}

TEST(OnLinkTest, TellsBehindAWaitOfWhatHappenedInIt) {
  Pair pair;
  pair.server_turns_in_waits();
  pair.time_passes_in_waits(10us);  // the end of a link is heard of once in a control period
  std::vector<bool> heard;
  bool waiting = false;
  pair.client().link().on_link([&](bool up) {
    EXPECT_FALSE(waiting) << "no callback runs inside a wait";
    heard.push_back(up);
  });
  pair.service.on[kSmall] = [&](std::string_view, RawReply) { pair.network.cut(); };
  waiting = true;
  EXPECT_FALSE(pair.client().wait(kSmall).status.ok());
  waiting = false;
  pair.until([&] { return pair.client().link().up(); });
  EXPECT_THAT(heard, ElementsAre(false, true));
}

TEST(OnLinkTest, MayCallButNotWait) {
  Pair pair;
  Outcome* made = nullptr;
  Outcome waited;
  pair.client().link().on_link([&](bool up) {
    if (!up) return;
    made = &pair.client().call(kSmall, "from on_link");
    waited = pair.client().wait(kSmall);
  });
  pair.network.cut();
  pair.until([&] { return made != nullptr && made->ended(); });
  EXPECT_ANSWERED(*made, "from on_link");
  EXPECT_ENDED(waited, Code::failed_precondition, Ran::no, Why::inside_handler);
}

TEST(OnLinkTest, MayThrowOrDestroyItsLink) {
  Pair pair;
  Client& other = pair.add_client();
  other.link().on_link([](bool) { throw std::runtime_error("from on_link"); });
  pair.client().link().on_link([&](bool) { pair.client().close(); });
  pair.network.cut();
  pair.settle();  // so that both are heard of the end before `other` is asked whether it is up again
  pair.until([&] { return other.link().up(); });
  EXPECT_GE(pair.log.count("on_link() function threw"), 1);
  const Outcome& outcome = other.call(kSmall, "lives");
  pair.settle();
  EXPECT_ANSWERED(outcome, "lives");
}

}  // namespace
}  // namespace taut::rpc::testing
