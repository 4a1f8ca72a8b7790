// What a server with limits refuses before the work, what it goes on doing then, and what its clients make of it.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

using ::testing::HasSubstr;

void limit(Listener& listener, std::string_view method, std::uint32_t calls_max) {
  const auto limited = listener.limit(method, calls_max);
  ASSERT_TRUE(limited) << limited.error();
}

TEST(MethodLimitTest, RefusesTheNextCallOfThatMethodAloneAndTakesOneWhenOneIsAnswered) {
  JoinedPair pair;
  limit(pair.listener(), "Small", 2);
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != 2; ++i) pair.client->call(kSmall, "held");
  const Outcome& over = pair.client->call(kSmall, "over");
  const Outcome& other = pair.client->call(kEcho, "other");
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::method_limit);
  EXPECT_THAT(std::string(over.status.text()), HasSubstr("the method has its limit"));
  EXPECT_ANSWERED(other, "other");
  EXPECT_EQ(pair.service.received[kSmall], 2);
  EXPECT_EQ(pair.server_counters().requests_over_method.value(), 1u);
  answer(held.replies.front(), "done");
  held.take(0);
  const Outcome& next = pair.client->call(kSmall, "next");
  const Outcome& over_again = pair.client->call(kSmall, "over again");
  pair.settle();
  EXPECT_FALSE(next.ended());
  EXPECT_ENDED(over_again, Code::resource_exhausted, Ran::no, Why::method_limit);
}

TEST(MethodLimitTest, SaysWhenOneOfTheOpenCallsWillEnd) {
  JoinedPair pair;
  limit(pair.listener(), "test.Bytes.Small", 2);
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != 2; ++i) pair.client->call(kSmall);
  pair.settle();
  pair.pass(1ms);
  pair.settle();
  answer(held.replies.front(), "after a millisecond");
  held.take(0);
  pair.client->call(kSmall);
  const Outcome& over = pair.client->call(kSmall);
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::method_limit);
  EXPECT_EQ(over.status.retry_after(), 500us) << "two are open, and each takes a millisecond";
}

TEST(MethodLimitTest, OfAMethodThatIsNotThereIsAnError) {
  Pair pair;
  const auto limited = pair.listener().limit("Smal", 1);
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code(), Code::not_found);
  EXPECT_THAT(std::string(limited.error().what()), HasSubstr("'Smal'"));
}

TEST(MethodLimitTest, DoesNotCountCallsFromBeforeItWasSet) {
  JoinedPair pair;
  Held held;
  pair.service.on[kSmall] = held.handler();
  for (int i = 0; i != 3; ++i) pair.client->call(kSmall);
  pair.settle();
  limit(pair.listener(), "Small", 1);
  const Outcome& first = pair.client->call(kSmall);
  pair.settle();
  EXPECT_FALSE(first.ended());
  for (int i = 0; i != 3; ++i) answer(held.replies.front(), "old"), held.take(0);
  const Outcome& over = pair.client->call(kSmall);
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::method_limit);
}

TEST(ServerLimitTest, HoldsForAllLinksTogether) {
  JoinedPair pair("", 0, "?open_max=3");
  Client second(pair.connect());
  Held held;
  pair.service.on[kSmall] = pair.service.on[kEcho] = held.handler();
  pair.client->call(kSmall);
  second.call(kEcho);
  pair.client->call(kSmall);
  pair.settle();
  const Outcome& over = second.call(kSmall);
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::server_limit);
  EXPECT_EQ(pair.server_counters().requests_over_server.value(), 1u);
  EXPECT_EQ(held.replies.size(), 3u);
  answer(held.replies.front(), "done");
  held.take(0);
  const Outcome& next = second.call(kSmall);
  pair.settle();
  EXPECT_FALSE(next.ended());
  EXPECT_EQ(held.replies.size(), 3u);
}

TEST(ServerLimitTest, CountsACallThatItsCallerGaveUpUntilItIsAnswered) {
  JoinedPair pair("", 0, "?open_max=1");
  Held held;
  pair.service.on[kSmall] = held.handler();
  const Outcome& given_up = pair.client->call(kSmall);
  pair.settle();
  pair.pass(2s);
  pair.settle();
  EXPECT_ENDED(given_up, Code::deadline_exceeded, Ran::maybe, Why::timeout);
  const Outcome& over = pair.client->call(kSmall);
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::server_limit);
  held.take(0).refuse(Code::cancelled, Why::none, {});
  pair.client->call(kSmall);
  pair.settle();
  EXPECT_EQ(held.replies.size(), 1u) << "the work that nobody waited for is finished";
}

TEST(ServerLimitTest, LeavesUrgentCallsAndPingsAlone) {
  JoinedPair pair("", 0, "?open_max=1");
  Held held;
  pair.service.on[kSmall] = held.handler();
  pair.client->call(kSmall);
  pair.settle();
  const Outcome& urgent = pair.client->call(kUrgent, "past it");
  pair.settle();
  EXPECT_ANSWERED(urgent, "past it");
  pair.server_turns_in_waits();
  const Status pinged = pair.client->link().warm_up(1);
  EXPECT_TRUE(pinged.ok()) << pinged;
}

TEST(ServerLimitTest, IsTheServersToSay) {
  Pair pair;
  const auto link = pair.caller().connect("loopback://bytes?open_max=4");
  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code(), Code::invalid_argument);
  EXPECT_THAT(std::string(link.error().what()), HasSubstr("limits are the server's"));
}

// A server that lets calls wait for 40 us, whose handlers take `work` each.
class DelayPair : public JoinedPair {
 public:
  explicit DelayPair(Nanoseconds work = 0us) : JoinedPair("", 0, "?delay_max=40us") {
    service.on[kSmall] = [this, work](std::string_view request, RawReply reply) {
      pass(work);
      answer(reply, request);
    };
  }
  Outcome& call_that_waits(Nanoseconds time, CallOptions options = {}) {
    Outcome& outcome = client->call(kSmall, "waited", options);
    pass(time);
    settle();
    return outcome;
  }
  // More calls have waited too long than belong to a burst.
  void end_burst() {
    EXPECT_ANSWERED(call_that_waits(41us), "waited");
    pass(400us);
  }
};

TEST(DelayLimitTest, ServesABurstBehindATimeOfCalmAndThenNoCallThatWaitedTooLong) {
  DelayPair pair;
  EXPECT_ANSWERED(pair.call_that_waits(400us), "waited");
  const Outcome& over = pair.call_that_waits(401us);
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::queue_delay);
  const Outcome& later = pair.call_that_waits(41us);
  EXPECT_ENDED(later, Code::resource_exhausted, Ran::no, Why::queue_delay);
  EXPECT_ANSWERED(pair.call_that_waits(40us), "waited");
  EXPECT_EQ(pair.server_counters().requests_over_delay.value(), 2u);
  EXPECT_EQ(pair.service.received[kSmall], 2);
  pair.pass(5ms);
  EXPECT_ANSWERED(pair.call_that_waits(400us), "waited");
}

TEST(DelayLimitTest, OfTenTargetsHoldsForTheFirstOfABurstToo) {
  DelayPair pair;
  EXPECT_ENDED(pair.call_that_waits(401us), Code::resource_exhausted, Ran::no, Why::queue_delay);
}

TEST(DelayLimitTest, SaysHowLongTheCallWaited) {
  DelayPair pair;
  pair.end_burst();
  const Outcome& over = pair.call_that_waits(48us);
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::queue_delay);
  EXPECT_EQ(over.status.retry_after(), 48us);
  EXPECT_EQ(std::string(over.status.text()), "the call waited too long in the queue");
  EXPECT_TRUE(over.status.safe_to_retry());
}

TEST(DelayLimitTest, CountsTheTimeOfTheHandlersBefore) {
  DelayPair pair(30us);
  pair.end_burst();
  pair.pass(1ms);
  std::vector<const Outcome*> calls;
  for (int i = 0; i != 3; ++i) calls.push_back(&pair.client->call(kSmall, "queued"));
  pair.server.poll();
  pair.settle();
  EXPECT_ANSWERED(*calls[0], "queued");
  EXPECT_ANSWERED(*calls[1], "queued");
  EXPECT_ENDED(*calls[2], Code::resource_exhausted, Ran::no, Why::queue_delay);
  EXPECT_EQ(calls[2]->status.retry_after(), 60us);
}

TEST(DelayLimitTest, DropsWorkWhoseDeadlinePassedWhileAnotherHandlerRan) {
  DelayPair pair(60us);
  const Outcome& first = pair.client->call(kSmall, "first");
  const Outcome& second = pair.client->call(kSmall, "second", {.timeout = 50us});
  pair.server.poll();
  pair.settle();
  EXPECT_ANSWERED(first, "first");
  EXPECT_EQ(second.ends, 1);
  EXPECT_EQ(second.status.code(), Code::deadline_exceeded);
  EXPECT_EQ(pair.service.received[kSmall], 1);
  EXPECT_EQ(pair.server_counters().requests_expired.value(), 1u);
}

TEST(DelayLimitTest, OfAListenerIsReadFromItsUrl) {
  Pair pair;
  Dispatcher server(transports(pair.network.transport()), {});
  for (const char* url : {"loopback://other?delay_max=forever", "loopback://other?delay_max=2min"}) {
    const auto listener = server.serve(url, pair.service);
    ASSERT_FALSE(listener) << url;
    EXPECT_EQ(listener.error().code(), Code::invalid_argument);
  }
  EXPECT_FALSE(server.serve("loopback://other?open_max=0", pair.service));
}

// --- the caller's side

TEST(SendWindowTest, IsHalvedOnceForAllCallsThatWereUnderWay) {
  DelayPair pair;
  pair.end_burst();
  for (int i = 0; i != 10; ++i) pair.client->call(kSmall);
  pair.pass(41us);
  pair.settle();
  for (int i = 1; i != 11; ++i) {
    EXPECT_ENDED(pair.client->outcomes()[static_cast<std::size_t>(i)], Code::resource_exhausted, Ran::no,
                 Why::queue_delay);
  }
  for (int i = 0; i != 32; ++i) pair.client->call(kSmall, "within");
  const Outcome& over = pair.client->call(kSmall, "over");
  pair.settle();
  EXPECT_ENDED(over, Code::resource_exhausted, Ran::no, Why::held_back);
  EXPECT_EQ(over.status.retry_after(), 41us + Nanoseconds{8}) << "as the server said, in steps of 16 ns";
  EXPECT_EQ(pair.client_counters().calls_held_back.value(), 1u);
  EXPECT_EQ(pair.service.received[kSmall], 1 + 32);
}

TEST(SendWindowTest, WidensByOneForFourCallsThatAreLetIn) {
  DelayPair pair;
  pair.end_burst();
  EXPECT_ENDED(pair.call_that_waits(41us), Code::resource_exhausted, Ran::no, Why::queue_delay);
  const auto in_flight = [&] {
    int sent = 0;
    const auto held_back = pair.client_counters().calls_held_back.value();
    const auto refused = pair.client_counters().calls_refused.value();
    for (; pair.client_counters().calls_refused.value() == refused && sent != 100; ++sent) pair.client->call(kSmall);
    EXPECT_LE(pair.client_counters().calls_held_back.value() - held_back, 1u);
    pair.settle();
    return sent - 1;
  };
  EXPECT_EQ(in_flight(), 32);
  EXPECT_EQ(in_flight(), 40);
  EXPECT_EQ(in_flight(), 50);
  EXPECT_EQ(in_flight(), 62);
  EXPECT_EQ(in_flight(), 64) << "what was granted";
}

TEST(SendWindowTest, OfOneClosesForTheTimeThatTheServerNamed) {
  DelayPair pair;
  pair.end_burst();
  for (int i = 0; i != 7; ++i) {  // 32, 16, 8, 4, 2, 1, closed
    EXPECT_ENDED(pair.call_that_waits(48us), Code::resource_exhausted, Ran::no, Why::queue_delay);
  }
  const Outcome& held_back = pair.client->call(kSmall, "held back");
  pair.settle();
  EXPECT_ENDED(held_back, Code::resource_exhausted, Ran::no, Why::held_back);
  EXPECT_EQ(held_back.status.retry_after(), 48us);
  pair.pass(48us);
  const Outcome& one = pair.client->call(kSmall, "one");
  const Outcome& two = pair.client->call(kSmall, "two");
  pair.settle();
  EXPECT_ANSWERED(one, "one");
  EXPECT_ENDED(two, Code::resource_exhausted, Ran::no, Why::held_back);
}

TEST(SendWindowTest, LeavesUrgentCallsAlone) {
  DelayPair pair;
  pair.end_burst();
  for (int i = 0; i != 7; ++i) pair.call_that_waits(48us);
  const Outcome& urgent = pair.client->call(kUrgent, "urgent");
  pair.settle();
  EXPECT_ANSWERED(urgent, "urgent");
}

}  // namespace
}  // namespace taut::rpc::testing
