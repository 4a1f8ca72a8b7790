// What calls inherit that are made inside a handler, and what becomes of deadlines when a clock jumps.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

// client -> front -> back. The front's handlers call the back, whose handler notes how much time it was given.
class Chain : public ::testing::Test {
 protected:
  Chain() {
    back_listener.emplace(std::move(*back.serve("loopback://back", back_service)));
    front_listener.emplace(std::move(*front.serve("loopback://front", front_service)));
    upstream.emplace(std::move(*front.connect("loopback://back")));
    client.emplace(std::move(*caller.connect("loopback://front")));
    back_service.on[kSmall] = [this](std::string_view request, RawReply reply) {
      left = reply.left();
      answer(reply, request);
    };
    settle();
  }
  void settle() {
    for (int idle = 0; idle < 3;) idle = front.poll() + back.poll() + caller.poll() == 0 ? idle + 1 : 0;
  }
  // The front calls the back in its handler, with these options, and answers at once.
  Outcome& forward(CallOptions with, CallOptions own = {.timeout = 160us}) {
    front_service.on[kSmall] = [this, with](std::string_view, RawReply reply) {
      inner = &upstream->call(kSmall, "inner", with);
      answer(reply, "outer");
    };
    return client->call(kSmall, {}, own);
  }
  void pass(Nanoseconds time) { ticks += static_cast<Ticks>(time.count()); }

  Ticks ticks = 1'000'000;
  DispatcherOptions options() {
    DispatcherOptions with;
    with.clock = Clock::manual(&ticks);
    return with;
  }
  loopback::Network network;
  ByteService front_service, back_service;
  Dispatcher front{transports(network.transport()), options()}, back{transports(network.transport()), options()},
      caller{transports(network.transport()), options()};
  std::optional<Listener> front_listener, back_listener;
  std::optional<Client> upstream, client;
  Nanoseconds left{-1};
  Outcome* inner = nullptr;
};
using InheritedDeadline = Chain;

TEST_F(InheritedDeadline, IsWhatTheHandlersCallHasLeft) {
  forward({});
  pass(50us);
  front.poll(0);
  settle();
  ASSERT_NE(inner, nullptr);
  EXPECT_ANSWERED(*inner, "inner");
  EXPECT_EQ(left, 110us);
}

TEST_F(InheritedDeadline, NeverMakesATimeoutLonger) {
  forward({.timeout = 32us});
  settle();
  EXPECT_EQ(left, 32us);
}

TEST_F(InheritedDeadline, CutsATimeoutThatIsLonger) {
  forward({.timeout = 10s});
  settle();
  EXPECT_EQ(left, 160us);
}

TEST_F(InheritedDeadline, EndsTheInnerCallWhenTheOuterOneEnds) {
  Held held;
  back_service.on[kSmall] = held.handler();
  const Outcome& outer = forward({.timeout = 10s});
  settle();
  EXPECT_ANSWERED(outer, "outer");
  pass(160us - 1ns);
  settle();
  EXPECT_FALSE(inner->ended());
  pass(1ns);
  settle();
  EXPECT_ENDED(*inner, Code::deadline_exceeded, Ran::maybe, Why::timeout);
}

TEST_F(InheritedDeadline, IsEscapedByForever) {
  forward({.timeout = forever});
  settle();
  EXPECT_EQ(left, Nanoseconds::max());
}

TEST_F(InheritedDeadline, IsNoneWhenTheCallerSetNone) {
  forward({.timeout = 48us}, {.timeout = forever});
  settle();
  EXPECT_EQ(left, 48us);
  forward({}, {.timeout = 100s});  // longer than a budget can say
  settle();
  EXPECT_EQ(left, 1s) << "the link's default";
}

TEST_F(InheritedDeadline, ThatHasPassedRefusesTheCallBeforeItIsSent) {
  front_service.on[kSmall] = [this](std::string_view, RawReply reply) {
    pass(200us);  // a slow handler
    EXPECT_EQ(reply.left(), 0ns);
    inner = &upstream->call(kSmall, "inner");
    answer(reply, "outer");
  };
  client->call(kSmall, {}, {.timeout = 160us});
  settle();
  ASSERT_NE(inner, nullptr);
  EXPECT_ENDED(*inner, Code::deadline_exceeded, Ran::no, Why::deadline_passed);
  EXPECT_EQ(back_service.received[kSmall], 0);
  const Outcome& next = upstream->call(kSmall, "outside of handlers nothing is inherited");
  settle();
  EXPECT_TRUE(next.status.ok()) << next.status;
  EXPECT_EQ(left, 1s);
}

TEST_F(InheritedDeadline, IsNotACallbacksUnlessItsReplyGoesOn) {
  std::optional<RawReply> kept;
  front_service.on[kSmall] = [&](std::string_view, RawReply reply) { kept.emplace(std::move(reply)); };
  client->call(kSmall, {}, {.timeout = 160us});
  settle();
  pass(60us);
  upstream->call(kSmall, "a callback's, a post's");
  settle();
  EXPECT_EQ(left, 1s);
  {
    const ContextScope scope = kept->go_on();
    upstream->call(kSmall, "as if in the handler");
  }
  settle();
  EXPECT_EQ(left, 100us);
  upstream->call(kSmall, "behind the scope");
  settle();
  EXPECT_EQ(left, 1s);
}

// The seam for who resumes work by himself.
TEST_F(InheritedDeadline, IsKeptAndPutBackByValue) {
  CallContext kept;
  front_service.on[kSmall] = [&](std::string_view, RawReply reply) {
    kept = CallContext(inheriting(upstream->link().state()));
    answer(reply, "outer");
  };
  client->call(kSmall, {}, {.timeout = 160us});
  settle();
  pass(60us);
  {
    const ContextScope scope(inheriting(upstream->link().state()), kept);
    {
      const ContextScope outside(inheriting(upstream->link().state()), CallContext());
      upstream->call(kSmall, "a scope inside of it");
    }
    settle();
    EXPECT_EQ(left, 1s);
    upstream->call(kSmall, "resumed");
  }
  settle();
  EXPECT_EQ(left, 100us);
}

TEST_F(InheritedDeadline, OfAHandlerThatThrowsIsGoneBehindIt) {
  front_service.on[kSmall] = [](std::string_view, RawReply) { throw std::runtime_error("no"); };
  client->call(kSmall, {}, {.timeout = 160us});
  settle();
  upstream->call(kSmall, "later");
  settle();
  EXPECT_EQ(left, 1s);
}

using InheritedTrace = Chain;

TEST_F(InheritedTrace, IsTheOneOfTheHandlersCallAlsoBehindItsAnswer) {
  const auto trace = TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  std::vector<std::string> seen;
  back_service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    seen.push_back(reply.trace() == nullptr ? "none" : reply.trace()->to_traceparent());
    answer(reply, request);
  };
  std::optional<RawReply> kept;
  front_service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    upstream->call(kSmall, "in the handler");
    if (request == "keep") return void(kept.emplace(std::move(reply)));
    answer(reply, "answered");
    upstream->call(kSmall, "behind the answer");
  };
  Metadata metadata;
  metadata.set_trace(*trace);
  client->call(kSmall, "now", {.metadata = metadata});
  client->call(kSmall, "untraced");
  settle();
  EXPECT_THAT(seen, ::testing::ElementsAre(trace->to_traceparent(), trace->to_traceparent(), "none", "none"));
  seen.clear();
  client->call(kSmall, "keep", {.metadata = metadata});
  settle();
  upstream->call(kSmall, "later");
  {
    const ContextScope scope = kept->go_on();
    upstream->call(kSmall, "going on");
    Metadata own;
    own.set_trace(*TraceContext::from_traceparent("00-0000000000000000000000000000000a-000000000000000b-00"));
    upstream->call(kSmall, "another trace, said at the call", {.metadata = own});
  }
  settle();
  EXPECT_THAT(seen, ::testing::ElementsAre(trace->to_traceparent(), "none", trace->to_traceparent(),
                                           "00-0000000000000000000000000000000a-000000000000000b-00"));
}

class ClockJump : public ::testing::Test {
 protected:
  JoinedPair pair;
  Held held;
  void hold(int calls) {
    pair.service.on[kSmall] = held.handler();
    for (int i = 0; i != calls; ++i) pair.client->call(kSmall, "held", {.timeout = 1ms * (i + 1)});
    pair.settle();
    ASSERT_EQ(held.replies.size(), static_cast<std::size_t>(calls));
  }
};

TEST_F(ClockJump, ForwardEndsEachCallOnceAndTheLateAnswersHarmNobody) {
  hold(50);
  pair.pass(std::chrono::hours(24 * 365));
  pair.settle();
  for (const Outcome& outcome : pair.client->outcomes()) {
    EXPECT_EQ(outcome.ends, 1);
    EXPECT_EQ(outcome.status.code(), Code::deadline_exceeded);
  }
  EXPECT_EQ(pair.client_counters().calls_timed_out.value(), 50u);
  for (RawReply& reply : held.replies) {
    EXPECT_EQ(reply.left(), 0ns);
    answer(reply, "late");
  }
  pair.settle();
  EXPECT_EQ(pair.client_counters().answers_late.value(), 50u);
  pair.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
  const Outcome& next = pair.client->call(kSmall, "next");
  pair.settle();
  EXPECT_ANSWERED(next, "next");
}

TEST_F(ClockJump, ForwardDropsAndCountsWhatLiesInTheQueue) {
  for (int i = 0; i != 20; ++i) pair.client->call(kSmall, "queued", {.timeout = 1ms});
  pair.pass(1h);
  pair.server.poll(0);
  pair.settle();
  EXPECT_EQ(pair.service.received[kSmall], 0) << "work that nobody waits for";
  EXPECT_EQ(pair.server_counters().requests_expired.value(), 20u);
  for (const Outcome& outcome : pair.client->outcomes()) EXPECT_EQ(outcome.ends, 1);
}

TEST_F(ClockJump, BackwardLosesNoCallAndMakesNoTimeNegative) {
  hold(20);
  pair.ticks -= 900'000;
  pair.server.poll(0);
  for (RawReply& reply : held.replies) {
    EXPECT_EQ(reply.queued(), 0ns);
    EXPECT_GE(reply.left(), 1ms) << "nothing is used up";
    EXPECT_LE(reply.left(), 20ms);
  }
  const Outcome& waiting = pair.client->call(kSmall, "made behind the jump", {.timeout = 1ms});
  pair.settle();
  EXPECT_EQ(held.replies.back().left(), 1ms);
  for (RawReply& reply : held.replies) answer(reply, "answered");
  pair.settle();
  for (const Outcome& outcome : pair.client->outcomes()) EXPECT_ANSWERED(outcome, "answered");
  EXPECT_ANSWERED(waiting, "answered");
}

// Between a call and its server's turn: the stamp lies in the future then.
TEST_F(ClockJump, BackwardInTheQueueCountsAsNow) {
  Nanoseconds queued{-1}, left{-1};
  pair.service.on[kSmall] = [&](std::string_view request, RawReply reply) {
    queued = reply.queued();
    left = reply.left();
    answer(reply, request);
  };
  const Outcome& outcome = pair.client->call(kSmall, "from the future", {.timeout = 1ms});
  pair.ticks -= 500'000;
  pair.server.poll(0);
  pair.settle();
  EXPECT_ANSWERED(outcome, "from the future");
  EXPECT_EQ(queued, 0ns);
  EXPECT_EQ(left, 1ms);
}

}  // namespace
}  // namespace taut::rpc::testing
