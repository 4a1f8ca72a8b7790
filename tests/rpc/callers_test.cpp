// Calls from a server to its client, on the client's link.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A client that offers a service, and a server that calls it by the link that its first request brought.
struct CallersTest : ::testing::Test {
  explicit CallersTest(const std::string& options = "") : pair(options) {
    client.emplace(pair.connect(options, {.serve = {events}}));
    back.emplace(caller_of(*client));
  }
  // The link that a handler asks for.
  Link caller_of(Client& from) {
    std::optional<Link> link;
    const auto before = std::exchange(pair.service.on[kSmall], [&](std::string_view request, RawReply reply) {
      link.emplace(reply.caller());
      answer(reply, request);
    });
    from.call(kSmall, "who calls?");
    pair.settle();
    pair.service.on[kSmall] = before;
    EXPECT_TRUE(link.has_value());
    return std::move(*link);
  }

  ByteService events;  // the client's
  JoinedPair pair;
  std::optional<Client> client, back;
};

TEST_F(CallersTest, AServerCallsTheClientThatCalledIt) {
  const Outcome& pushed = back->call(kEcho, "news");
  const Outcome& urgent = back->call(kUrgent, "flash");
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_ANSWERED(urgent, "flash");
  EXPECT_EQ(events.received[kEcho], 1);
  EXPECT_EQ(pair.service.received[kEcho], 0);
  EXPECT_TRUE(back->link().up());
  EXPECT_TRUE(back->link().fits(ByteService::described()));
}

TEST_F(CallersTest, AHandlerAnswersWhenItsClientHasAnsweredIt) {
  pair.service.on[kEcho] = [&](std::string_view, RawReply reply) {
    back->call_then(kSmall, "sure?", {}, [held = std::make_shared<RawReply>(std::move(reply))](const Outcome& sure) {
      answer(*held, sure.payload + " yes");
    });
  };
  const Outcome& asked = client->call(kEcho, "do it");
  pair.settle();
  EXPECT_ANSWERED(asked, "sure? yes");
}

TEST_F(CallersTest, CallsGoRoundAndRoundBetweenHandlers) {
  int rounds = 0;
  const std::function<void()> ask = [&] {
    client->call_then(kSmall, "there", {}, [&](const Outcome&) {
      if (++rounds != 100) ask();
    });
  };
  pair.service.on[kSmall] = [&](std::string_view, RawReply reply) {
    back->call(kSmall, "and back");
    answer(reply, "");
  };
  ask();
  pair.settle();
  EXPECT_EQ(rounds, 100);
  EXPECT_EQ(events.received[kSmall], 100);
}

TEST_F(CallersTest, LargeMessagesTravelBothWaysAtOnce) {
  const std::string up(300'000, 'u'), down(500'000, 'd');
  const Outcome& asked = client->call(kEcho, up);
  const Outcome& pushed = back->call(kEcho, down);
  pair.settle();
  EXPECT_ANSWERED(asked, up);
  EXPECT_ANSWERED(pushed, down);
}

TEST_F(CallersTest, ALinkThatGoesEndsItsOwnCallsAndNoOthers) {
  Held held;
  events.on[kEcho] = held.handler();
  auto another = std::make_unique<Client>(caller_of(*client));
  std::vector<Status> ends;
  send_call(another->filled(kEcho, "by another"), 10, {}).then([&](const RawAnswer& raw) {
    ends.push_back(raw.status);
  });
  const Outcome& pushed = back->call(kEcho, "by the first");
  pair.settle();
  ASSERT_EQ(held.replies.size(), 2u);
  another.reset();
  ASSERT_EQ(ends.size(), 1u) << "before its destructor returns";
  EXPECT_EQ(ends[0].code(), Code::cancelled);
  EXPECT_EQ(ends[0].ran(), Ran::yes) << "the other call was taken behind it";
  for (RawReply& reply : held.replies) answer(reply, "heard");
  pair.settle();
  EXPECT_ANSWERED(pushed, "heard");
  EXPECT_TRUE(client->link().up());
  EXPECT_EQ(pair.server_counters().answers_late.value(), 1u);
}

TEST_F(CallersTest, ALinkThatGoesInsideACallbackEndsItsCallsInTheNextTurn) {
  auto another = std::make_unique<Client>(caller_of(*client));
  Held held;
  events.on[kEcho] = held.handler();
  int ends = 0;
  send_call(another->filled(kEcho, "unanswered"), 10, {}).then([&](const RawAnswer&) { ++ends; });
  back->call_then(kSmall, "last", {}, [&](const Outcome&) {
    another.reset();
    EXPECT_EQ(ends, 0);
  });
  pair.settle();
  EXPECT_EQ(ends, 1);
}

// --- a client that serves nothing, or something else

TEST_F(CallersTest, AClientThatOffersNothingIsCalledInVain) {
  Client mute(pair.connect());
  Client to_mute(caller_of(mute));
  const Outcome& pushed = to_mute.call(kEcho, "news");
  pair.settle();
  EXPECT_ENDED(pushed, Code::unimplemented, Ran::no, Why::unknown_method);
  EXPECT_EQ(pushed.status.text(), "the client's method table lacks test.Bytes; it offers none");
  const MethodDescription needed[] = {{.name = "Echo",
                                       .id = 1,
                                       .needed = true,
                                       .request_bound = 0,
                                       .reply_bound = 0,
                                       .request = "test.Request",
                                       .reply = "test.Reply"}};
  const auto fit = to_mute.link().fits({"test.Bytes", 1, needed, {}});
  ASSERT_FALSE(fit);
  EXPECT_THAT(std::string(fit.error().what()),
              AllOf(HasSubstr("the client of joined://bytes, pid 4711: the client offers no test.Bytes"),
                    HasSubstr("which this server needs the method 'Echo' (id 1)")));
  EXPECT_TRUE(mute.link().up());
}

TEST_F(CallersTest, TwoServicesOfOneNameAreNotOffered) {
  ByteService twin;
  const auto link = pair.caller.connect("joined://bytes", {.serve = {events, twin}});
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code(), Code::already_exists);
}

TEST_F(CallersTest, TheClientGrantsAsManyCallsAsItMayMake) {
  Held held;
  events.on[kSmall] = held.handler();
  for (int i = 0; i != 64; ++i) back->call(kSmall, "one of many");
  const Outcome& over = back->call(kSmall, "one more");
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  EXPECT_THAT(std::string(over.status.text()), HasSubstr("every call that the client grants"));
  EXPECT_EQ(held.replies.size(), 64u);
}

// --- a client that waits

TEST_F(CallersTest, AWaitRunsNoHandlerAndLeavesTheRequestToThePoll) {
  pair.server_turns_in_waits();
  const Outcome& pushed = back->call(kEcho, "news");
  EXPECT_ANSWERED(client->wait(kSmall, "waits"), "waits");
  EXPECT_EQ(events.received[kEcho], 0);
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_EQ(events.received[kEcho], 1);
}

TEST_F(CallersTest, AWaitInTheMiddleOfALargeRequestReceivesALargeAnswer) {
  pair.server_turns_in_waits();
  const std::string large(400'000, 'l');
  const Outcome& pushed = back->call(kEcho, large);
  pair.server.poll();
  pair.caller.poll();  // the first pieces have come
  EXPECT_ANSWERED(client->wait(kSmall, "waits"), "waits");
  pair.settle();
  EXPECT_ANSWERED(pushed, large);
  const Outcome& again = back->call(kEcho, large);
  pair.settle();
  EXPECT_ANSWERED(again, large);
}

TEST_F(CallersTest, AClientThatOnlyWaitsIsToldToPoll) {
  pair.server_turns_in_waits();
  const Outcome& pushed = back->call(kEcho, "news");
  Outcome refused;
  int answered = 0;
  while ((refused = client->wait(kSmall, "waits")).status.ok()) ++answered;
  EXPECT_EQ(answered, 64);
  EXPECT_ENDED(refused, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  EXPECT_THAT(std::string(refused.status.text()), HasSubstr("poll"));
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_ANSWERED(client->wait(kSmall, "waits again"), "waits again");
}

TEST(CallersOverLoopback, AServerThatWaitsOutsideOfHandlersKeepsItsRequests) {
  ByteService events;
  Pair pair;
  Client client(pair.connect({.serve = {events}}));
  std::optional<Client> back;
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    back.emplace(reply.caller());
    answer(reply, request);
  };
  client.call(kSmall, "who calls?");
  pair.settle();
  ASSERT_TRUE(back.has_value());
  pair.network.drive(pair.caller());  // so that a wait of the server turns the client
  const Outcome& asked = client.call(kEcho, "asked");
  EXPECT_ANSWERED(back->wait(kSmall, "waits"), "waits");
  EXPECT_EQ(pair.service.received[kEcho], 0);
  pair.settle();
  EXPECT_ANSWERED(asked, "asked");
}

// --- the end

TEST_F(CallersTest, CallsToAClientThatIsGoneDidNotRun) {
  std::vector<bool> news;
  back->link().on_link([&](bool up) { news.push_back(up); });
  client->close();
  pair.settle_links();
  EXPECT_THAT(news, ElementsAre(false));
  EXPECT_FALSE(back->link().up());
  const Outcome& pushed = back->call(kEcho, "news");
  pair.settle();
  EXPECT_ENDED(pushed, Code::unavailable, Ran::no, Why::not_connected);
  EXPECT_EQ(pushed.status.text(), "the client is gone");
  EXPECT_FALSE(back->link().fits(ByteService::described()));
}

TEST_F(CallersTest, TheLinkMayGoWhenItSaysThatTheClientIsGone) {
  auto another = std::make_unique<Client>(caller_of(*client));
  back->link().on_link([&](bool) { another.reset(); });
  another->link().on_link([&](bool) { back.reset(); });
  client->close();
  pair.settle_links();
  EXPECT_NE(back.has_value(), another != nullptr) << "the one that was told first destroyed the other";
}

TEST_F(CallersTest, WhatTheClientRanIsSaidWhenItGoes) {
  Held held;
  events.on[kSmall] = held.handler();
  const Outcome& ran = back->call(kSmall, "taken");
  const Outcome& newest = back->call(kSmall, "taken last");
  pair.settle();
  const Outcome& unread = back->call(kSmall, "not read");
  pair.memory().ended = false;
  pair.joint.made().end(Why::peer_died, "the peer died");
  pair.settle_links();
  EXPECT_ENDED(ran, Code::unavailable, Ran::yes, Why::peer_died);
  EXPECT_ENDED(newest, Code::unavailable, Ran::maybe, Why::peer_died);
  EXPECT_ENDED(unread, Code::unavailable, Ran::no, Why::peer_died);
}

TEST_F(CallersTest, AnAnswerThatHadArrivedIsAnAnswer) {
  const Outcome& pushed = back->call(kEcho, "news");
  pair.server.poll();
  pair.caller.poll();
  const Outcome& asked = client->call(kEcho, "unread");
  pair.caller.poll();
  pair.joint.made().end(Why::peer_died, "the peer died");
  pair.settle_links();
  EXPECT_ANSWERED(pushed, "news");
  EXPECT_ENDED(asked, Code::unavailable, Ran::no, Why::peer_died);
  EXPECT_EQ(pair.service.received[kEcho], 0) << "requests of a client that is gone are not run";
}

TEST_F(CallersTest, ACallThatIsBeingWrittenKeepsItsRingUntilItIsDropped) {
  auto claim = back->claim(kEcho, 100);
  ASSERT_TRUE(claim);
  client->close();
  pair.settle_links();
  std::memset(claim.payload(), 'x', 100);
  int ends = 0;
  send_call(std::move(claim), 100, {}).then([&](const RawAnswer& raw) {
    ++ends;
    EXPECT_EQ(raw.status.ran(), Ran::no);
  });
  pair.settle_links();
  EXPECT_EQ(ends, 1);
}

TEST_F(CallersTest, AnAnswerMeetsACallThatIsBeingWritten) {
  std::optional<CallClaim> claim;
  pair.service.on[kEcho] = [&](std::string_view, RawReply reply) {
    claim.emplace(back->claim(kEcho, 8));
    answer(reply, "no room for two");
  };
  const Outcome& asked = client->call(kEcho, "asked");
  pair.settle();
  EXPECT_FALSE(asked.ended()) << "it follows when the claim is over";
  claim.reset();
  pair.settle_links();
  EXPECT_ENDED(asked, Code::failed_precondition, Ran::yes, Why::open_claim);
}

TEST_F(CallersTest, WhoeverAsksTooLateGetsALinkThatIsDown) {
  std::optional<Link> late;
  pair.service.on[kEcho] = [&](std::string_view request, RawReply reply) {
    answer(reply, request);
    late.emplace(reply.caller());
  };
  client->call(kEcho, "asked");
  pair.settle();
  ASSERT_TRUE(late.has_value());
  EXPECT_FALSE(late->up());
  Client nobody(std::move(*late));
  EXPECT_EQ(nobody.wait(kEcho, "anybody?").status.why(), Why::not_connected);
}

TEST_F(CallersTest, WhoeverAsksForAClientThatIsGoneGetsALinkThatIsDown) {
  Held held;
  pair.service.on[kEcho] = held.handler();
  client->call(kEcho, "and gone");
  pair.settle();
  client->close();
  pair.settle_links();
  const Link link = held.replies.front().caller();
  EXPECT_FALSE(link.up());
  answer(held.replies.front(), "to nobody");
}

TEST_F(CallersTest, AClientThatComesBackIsAnotherOne) {
  const Link first = caller_of(*client);
  pair.joint.made().end(Why::peer_died, "the peer died");
  pair.settle_links();
  ASSERT_TRUE(client->link().up()) << "it reconnects by itself";
  EXPECT_FALSE(first.up());
  Client again(caller_of(*client));
  const Outcome& pushed = again.call(kEcho, "news");
  pair.settle();
  EXPECT_ANSWERED(pushed, "news");
}

// --- deadlines, draining, halting

TEST_F(CallersTest, ACallThatTheClientDoesNotAnswerTimesOutAndItsAnswerIsLate) {
  Held held;
  events.on[kSmall] = held.handler();
  const Outcome& pushed = back->call(kSmall, "slow", {.timeout = 1ms});
  pair.settle();
  pair.pass(2ms);
  pair.settle();
  EXPECT_ENDED(pushed, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  answer(held.replies.front(), "late");
  pair.settle();
  EXPECT_EQ(pair.server_counters().answers_late.value(), 1u);
  const Outcome& next = back->call(kEcho, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
}

TEST_F(CallersTest, AHaltedServiceNeitherTakesCallsNorMakesAny) {
  const Outcome& on_its_way = back->call(kEcho, "on its way");
  pair.memory().halt_word = 1;
  pair.settle();
  EXPECT_ENDED(on_its_way, Code::unavailable, Ran::no, Why::halted);
  const Outcome& pushed = back->call(kEcho, "news");
  pair.settle();
  EXPECT_ENDED(pushed, Code::unavailable, Ran::no, Why::halted);
}

struct CallersDrainTest : CallersTest {
  void SetUp() override {
    client.reset();
    back.reset();
    auto made = pair.server.serve("joined://drains", pair.service);
    ASSERT_TRUE(made) << made.error();
    listener.emplace(*std::move(made));
    auto link = pair.caller.connect("joined://drains", {.serve = {events}});
    ASSERT_TRUE(link) << link.error();
    client.emplace(*std::move(link));
    pair.settle();
    back.emplace(caller_of(*client));
    pair.service.on[kEcho] = held.handler();
  }
  Held held;
  std::optional<Listener> listener;
};

TEST_F(CallersDrainTest, AHandlerOfADrainingServerStillCallsItsClient) {
  const Outcome& asked = client->call(kEcho, "asked");
  pair.settle();
  listener->begin_drain();
  pair.settle_links();
  const Outcome& pushed = back->call(kEcho, "needed for the answer");
  pair.settle_links();
  EXPECT_ANSWERED(pushed, "needed for the answer");
  EXPECT_FALSE(listener->drained());
  answer(held.replies.front(), "answered");
  pair.settle_links();
  EXPECT_ANSWERED(asked, "answered");
  EXPECT_TRUE(listener->drained());
}

TEST_F(CallersDrainTest, ADrainWaitsForWhatTheServerAsked) {
  Held asked;
  events.on[kSmall] = asked.handler();
  const Outcome& pushed = back->call(kSmall, "asked");
  pair.settle();
  listener->begin_drain();
  pair.settle_links();
  EXPECT_FALSE(listener->drained());
  const Outcome& more = back->call(kSmall, "more");
  pair.settle();
  EXPECT_ENDED(more, Code::unavailable, Ran::no, Why::draining);
  answer(asked.replies.front(), "at last");
  pair.settle_links();
  EXPECT_ANSWERED(pushed, "at last");
  EXPECT_TRUE(listener->drained());
}

TEST_F(CallersDrainTest, ADrainDoesNotWaitForAnAnswerThatIsLate) {
  Held asked;
  events.on[kSmall] = asked.handler();
  const Outcome& pushed = back->call(kSmall, "asked", {.timeout = 1ms});
  pair.settle();
  listener->begin_drain();
  pair.settle_links();
  EXPECT_ENDED(pushed, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  EXPECT_TRUE(listener->drained());
}

}  // namespace
}  // namespace taut::rpc::testing
