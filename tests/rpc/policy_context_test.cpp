// What goes beside the calls of a policy: metadata and trace are with every attempt, and so is what a handler hands on.
#include "pair.h"
#include "taut/rpc/hedge.h"
#include "taut/rpc/tracing.h"

namespace taut::rpc::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

TraceContext some_trace() {
  return *TraceContext::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

// A client whose calls a front answers; the front's handlers may call two backs.
struct PolicyContext : ::testing::Test {
  // What one attempt brought with it.
  struct Came {
    std::string tenant, trace;
    Nanoseconds left;
  };
  PolicyContext() {
    back_listener.emplace(*back.serve("loopback://back", near_service));
    far_listener.emplace(*back.serve("loopback://far", far_service));
    front_listener.emplace(*front.serve("loopback://front", front_service));
    near.emplace(*front.connect("loopback://back"));
    far.emplace(*front.connect("loopback://far"));
    client.emplace(*caller.connect("loopback://front"));
    for (ByteService* service : {&near_service, &far_service}) {
      service->instead[kEcho] = [this](ServedCall& call) {
        RawReply reply = call.reply();
        came.push_back({std::string(reply.metadata().find("tenant").value_or("nobody")),
                        reply.trace() != nullptr ? reply.trace()->to_traceparent() : "none", reply.left()});
        if (refusals-- > 0) return reply.refuse(Code::resource_exhausted, Why::reply_room, "no room");
        call.taken();
        if (holds) return held.push_back(std::move(reply));
        answer(reply, as_text(call.payload()));
      };
    }
    settle();
  }
  DispatcherOptions options() {
    DispatcherOptions with;
    with.clock = Clock::manual(&ticks);
    return with;
  }
  void settle() {
    for (int idle = 0; idle < 3;) idle = front.poll() + back.poll() + caller.poll() == 0 ? idle + 1 : 0;
  }
  void pass(Nanoseconds time) {
    for (const Nanoseconds step = 10us; time > 0ns; time -= step) {
      settle();
      ticks += static_cast<Ticks>(step.count());
    }
    settle();
  }
  // The front calls a back, in a handler or not.
  Outcome& call(CallPolicy& policy, CallOptions with = {}) {
    Outcome& outcome = outcomes.emplace_back();
    LinkState& link = near->state();
    std::byte* kept = policy.keep(link, bind(link, with_idempotent_echo()), kEcho, 1);
    EXPECT_NE(kept, nullptr);
    *kept = std::byte{'x'};
    policy.send(with).then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
      outcome.payload = as_text(answer.payload);
    });
    return outcome;
  }
  // In a handler, whose own call has this time and this trace. It answers at once, before the attempts are over.
  void call_in_handler(CallPolicy& policy, CallOptions with, Nanoseconds outer_timeout) {
    front_service.on[kSmall] = [&policy, with, this](std::string_view, RawReply reply) {
      call(policy, with);
      answer(reply, "outer");
    };
    Metadata outer{{"tenant", "of the outer call"}};
    outer.set_trace(some_trace());
    client->call(kSmall, {}, {.timeout = outer_timeout, .metadata = outer});
    settle();
  }
  [[nodiscard]] std::vector<std::string> tenants() const {
    std::vector<std::string> all;
    for (const Came& each : came) all.push_back(each.tenant);
    return all;
  }
  [[nodiscard]] std::vector<std::string> traces() const {
    std::vector<std::string> all;
    for (const Came& each : came) all.push_back(each.trace);
    return all;
  }

  Ticks ticks = 1'000'000;
  std::deque<Outcome> outcomes;
  std::vector<Came> came;
  std::vector<RawReply> held;
  int refusals = 0;
  bool holds = false;
  loopback::Network network;
  ByteService front_service, near_service, far_service;
  Dispatcher front{transports(network.transport()), options()}, back{transports(network.transport()), options()},
      caller{transports(network.transport()), options()};
  std::optional<Listener> front_listener, back_listener, far_listener;
  std::optional<Link> near, far;
  std::optional<Client> client;
};

TEST_F(PolicyContext, EveryAttemptCarriesTheMetadataThatWasThereWhenTheCallWasMade) {
  Retry retry(*near, {.attempts = 3});
  refusals = 2;
  Metadata metadata{{"tenant", "blue"}};
  metadata.set_trace(some_trace());
  const Outcome& outcome = call(retry, {.metadata = metadata});
  metadata = Metadata{{"tenant", "red"}};
  pass(20ms);
  EXPECT_ANSWERED(outcome, "x");
  EXPECT_THAT(tenants(), ElementsAre("blue", "blue", "blue"));
  EXPECT_THAT(traces(), Each(some_trace().to_traceparent()));
}

TEST_F(PolicyContext, CallsUnderWayKeepTheirOwn) {
  Retry retry(*near, {.attempts = 2, .backoff = 0us, .burst = 100});
  refusals = 3;
  call(retry, {.metadata = Metadata{{"tenant", "blue"}}});
  call(retry, {});
  call(retry, {.metadata = Metadata{{"tenant", "red"}}});
  pass(1ms);
  EXPECT_THAT(tenants(), ElementsAre("blue", "nobody", "red", "blue", "nobody", "red"));
  for (const Outcome& outcome : outcomes) EXPECT_ANSWERED(outcome, "x");
}

TEST_F(PolicyContext, ACallWithoutHasNoneOfTheOneThatHadItsRoom) {
  Retry retry(*near, {.calls_max = 1});
  call(retry, {.metadata = Metadata{{"tenant", "blue"}}});
  pass(100us);
  call(retry);
  pass(100us);
  EXPECT_THAT(tenants(), ElementsAre("blue", "nobody"));
}

TEST_F(PolicyContext, MetadataOverItsBoundsIsRefusedOnce) {
  Retry retry(*near, {.attempts = 3});
  Metadata wrong;
  EXPECT_FALSE(wrong.add("Not A Key", ""));
  const Outcome& outcome = call(retry, {.metadata = wrong});
  pass(1ms);
  EXPECT_ENDED(outcome, Code::invalid_argument, Ran::no, Why::bad_metadata);
  EXPECT_TRUE(came.empty());
  EXPECT_EQ(retry.counters().attempts, 0u);
}

TEST_F(PolicyContext, AHedgeCarriesItToBothServers) {
  Hedge hedge(*near, *far, {.after = 100us});
  holds = true;
  Metadata metadata{{"tenant", "blue"}};
  metadata.set_trace(some_trace());
  const Outcome& outcome = call(hedge, {.metadata = metadata});
  pass(200us);
  ASSERT_EQ(held.size(), 2u);
  answer(held[1], "far");
  pass(100us);
  EXPECT_ANSWERED(outcome, "far");
  EXPECT_THAT(tenants(), ElementsAre("blue", "blue"));
  EXPECT_THAT(traces(), Each(some_trace().to_traceparent()));
}

TEST_F(PolicyContext, EveryAttemptBelongsToTheTraceOfTheHandlerThatMadeTheCall) {
  Retry retry(*near, {.attempts = 3});
  refusals = 2;
  call_in_handler(retry, {}, 1s);
  pass(20ms);
  ASSERT_EQ(came.size(), 3u);
  EXPECT_THAT(traces(), Each(some_trace().to_traceparent()));
  EXPECT_THAT(tenants(), Each("nobody")) << "metadata is not inherited";
  call(retry);
  pass(1ms);
  EXPECT_EQ(came.back().trace, "none") << "outside of a handler nothing is left of it";
}

TEST_F(PolicyContext, TheSecondAttemptOfAHedgeBelongsToItToo) {
  Hedge hedge(*near, *far, {.after = 100us});
  holds = true;
  call_in_handler(hedge, {}, 1s);
  pass(200us);
  EXPECT_THAT(traces(), ElementsAre(some_trace().to_traceparent(), some_trace().to_traceparent()));
}

struct Spans : SpanExporter {
  void ended(const Span& span) override {
    ids.push_back(span.context.span_id);
    parents.push_back(span.parent_id);
    EXPECT_EQ(span.context.trace_id, some_trace().trace_id);
  }
  std::vector<std::array<std::uint8_t, 8>> ids, parents;
};

TEST_F(PolicyContext, AttemptsAreSpansOfOneParent) {
  Spans spans;
  Tracing tracing(spans);
  ASSERT_TRUE(near->intercept(tracing.client()));
  Retry retry(*near, {.attempts = 3});
  refusals = 2;
  call_in_handler(retry, {}, 1s);
  pass(20ms);
  ASSERT_EQ(spans.ids.size(), 3u);
  EXPECT_THAT(spans.parents, Each(some_trace().span_id));
  EXPECT_NE(spans.ids[0], spans.ids[1]);
  EXPECT_NE(spans.ids[1], spans.ids[2]);
}

TEST_F(PolicyContext, NoAttemptIsMadeBehindTheDeadlineOfTheHandlersCall) {
  Retry retry(*near, {.attempts = 1000, .backoff = 20us, .backoff_max = 20us, .burst = 1000});
  refusals = 1000;
  const Ticks begin = ticks;
  call_in_handler(retry, {.timeout = 1s}, 320us);
  while (!outcomes.back().ended()) pass(10us);
  EXPECT_LE(ticks - begin, 320'000u + 20'000u);
  EXPECT_GT(came.size(), 3u);
  EXPECT_EQ(retry.counters().out_of_time, 1u);
  for (const Came& each : came) EXPECT_LE(each.left, 320us);
}

TEST_F(PolicyContext, ForeverEscapesItsHandler) {
  Retry retry(*near, {.attempts = 3, .backoff = 5ms});
  refusals = 2;
  call_in_handler(retry, {.timeout = taut::forever}, 160us);
  pass(20ms);
  EXPECT_ANSWERED(outcomes.back(), "x");
  EXPECT_EQ(came.back().left, Nanoseconds::max());
}

}  // namespace
}  // namespace taut::rpc::testing
