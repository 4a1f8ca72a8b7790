// A client that only waits and never polls: nothing that arrives in a wait may stay behind, and a link that ended in
// one comes back in another.
#include "joined_pair.h"

namespace taut::rpc::testing {
namespace {

// More than any lane is granted.
constexpr int kMany = 1000;

class OnlyWaitsTest : public ::testing::Test {
 protected:
  OnlyWaitsTest() { pair.server_turns_in_waits(); }

  // A wait that times out; its Reply is held.
  void time_out(Method method) {
    const auto before = std::exchange(pair.service.on[method], [this](std::string_view, RawReply reply) {
      held.push_back(std::move(reply));
      pair.pass(100us);
    });
    EXPECT_ENDED(pair.client->wait(method, "slow", wait(50us)), Code::deadline_exceeded, Ran::maybe, Why::timeout);
    pair.service.on[method] = before;
  }
  // Answers what is held, and then its own call.
  void answer_late_in(Method method) {
    pair.service.on[method] = [this](std::string_view request, RawReply reply) {
      for (RawReply& late : held) answer(late, "late");
      held.clear();
      answer(reply, request);
    };
  }
  void send_without_callback(Method method) { (void)send_call(pair.client->filled(method, "unheard"), 7, {}); }
  void expect_waits_answered(int count, Method method = kSmall) {
    for (int i = 0; i != count; ++i) {
      const std::string text = std::to_string(i);
      const Outcome outcome = pair.client->wait(method, text);
      ASSERT_TRUE(outcome.status.ok()) << "wait " << i << ": " << outcome.status;
      ASSERT_EQ(outcome.payload, text);
    }
  }

  JoinedPair pair;
  std::vector<RawReply> held;
};

TEST_F(OnlyWaitsTest, OneLateAnswerCostsNothing) {
  answer_late_in(kSmall);
  time_out(kSmall);
  expect_waits_answered(kMany);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 1u);
  EXPECT_EQ(pair.client_counters().answers_received.value(), unsigned{kMany});
  EXPECT_EQ(pair.client_counters().calls_timed_out.value(), 1u);
  EXPECT_EQ(pair.client_counters().calls_refused.value(), 0u);
}

TEST_F(OnlyWaitsTest, ManyLateAnswersCostNothing) {
  for (const Method method : {kSmall, kUrgent}) {
    answer_late_in(kEcho);
    for (int i = 0; i != 200; ++i) {
      ASSERT_NO_FATAL_FAILURE(time_out(method));
      ASSERT_NO_FATAL_FAILURE(expect_waits_answered(1, kEcho));
    }
  }
  expect_waits_answered(kMany, kUrgent);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 400u);
}

TEST_F(OnlyWaitsTest, AnswersToCallsWithoutACallbackCostNothing) {
  for (const Method method : {kSmall, kUrgent}) {
    for (int i = 0; i != 200; ++i) {
      send_without_callback(method);
      ASSERT_NO_FATAL_FAILURE(expect_waits_answered(1));
    }
  }
  expect_waits_answered(kMany);
  EXPECT_EQ(pair.client_counters().answers_received.value(), 800u + kMany);
  EXPECT_EQ(pair.client_counters().answers_late.value(), 0u);
  EXPECT_EQ(pair.client_counters().calls_refused.value(), 0u);
}

TEST_F(OnlyWaitsTest, LargeAnswersThatNobodyWantsCostNothing) {
  pair.service.on[kBig] = [](std::string_view, RawReply reply) { answer(reply, std::string(4000, 'b')); };
  for (int i = 0; i != 200; ++i) {
    send_without_callback(kBig);
    ASSERT_NO_FATAL_FAILURE(expect_waits_answered(1));
  }
  EXPECT_EQ(pair.client_counters().answers_received.value(), 400u);
}

TEST_F(OnlyWaitsTest, BehindAnAnswerThatIsKeptTheGrantsComeBackWithThePoll) {
  for (int round = 0; round != 100; ++round) {
    const Outcome& kept = pair.client->call(kSmall, "kept");
    pair.server.poll();
    answer_late_in(kSmall);
    time_out(kSmall);
    for (int i = 0; i != 10; ++i) send_without_callback(kSmall);
    ASSERT_NO_FATAL_FAILURE(expect_waits_answered(10));
    ASSERT_FALSE(kept.ended());
    pair.caller.poll();
    EXPECT_ANSWERED(kept, "kept");
  }
  EXPECT_EQ(pair.client_counters().answers_late.value(), 100u);
  EXPECT_EQ(pair.client_counters().calls_refused.value(), 0u);
}

// --- the peer lies in a wait

struct Lie {
  const char* name;
  std::size_t at;  // offset in the answer's record
  std::uint64_t word;
};

class LieInAWaitTest : public OnlyWaitsTest, public ::testing::WithParamInterface<Lie> {
 protected:
  // Rewrites the first answer of the link before the client looks at it.
  void lie_about(const Lie& lie, Nanoseconds time_passes) {
    pair.service.on[kSmall] = [this, lie, time_passes](std::string_view request, RawReply reply) {
      answer(reply, request);
      std::memcpy(pair.memory().lane(1, Lane::normal).out_ring + lie.at, &lie.word, sizeof lie.word);
      pair.pass(time_passes);
    };
  }
  // Waits until the link is back; the client is never polled.
  void expect_it_comes_back() {
    pair.service.on[kSmall] = [](std::string_view request, RawReply reply) { answer(reply, request); };
    int violations = 0;
    for (int i = 0; i != 100; ++i) {
      pair.pass(1ms);
      pair.server.poll();
      pair.server_turns_in_waits();
      const Outcome outcome = pair.client->wait(kSmall, "back");
      if (outcome.status.ok()) return;
      if (outcome.status.why() == Why::peer_violation) {
        EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::peer_violation);
        EXPECT_LE(++violations, 1) << "the first refusal ends the link";
      } else {
        EXPECT_ENDED(outcome, Code::unavailable, Ran::no, Why::not_connected);
      }
    }
    FAIL() << "the link does not come back";
  }
};

TEST_P(LieInAWaitTest, EndsTheWaitAndTheLinkComesBack) {
  const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
  lie_about(GetParam(), 2s);  // so that a wait which sees no lie ends too
  EXPECT_ENDED(pair.client->wait(kSmall, "x"), Code::unavailable, Ran::maybe, Why::peer_violation);
  EXPECT_EQ(first->counters(0).violations.value(), 1u);
  expect_it_comes_back();
  EXPECT_TRUE(first->ended);
  EXPECT_NE(pair.joint.made().memory, first);
  EXPECT_EQ(pair.log.count("which broke the rules"), 1);
  expect_waits_answered(kMany);
}

TEST_P(LieInAWaitTest, WithoutAControlPeriodEndsTheLinkInTheNextWait) {
  const std::shared_ptr<JoinedMemory> first = pair.joint.made().memory;
  lie_about(GetParam(), 0ns);
  EXPECT_ENDED(pair.client->wait(kSmall, "x", wait(1ns)), Code::unavailable, Ran::maybe, Why::peer_violation);
  EXPECT_ENDED(pair.client->wait(kSmall, "x"), Code::unavailable, Ran::no, Why::peer_violation);
  EXPECT_TRUE(first->ended);
  expect_it_comes_back();
}

using ring::Head;
using ring::Kind;
INSTANTIATE_TEST_SUITE_P(Of, LieInAWaitTest,
                         ::testing::Values(Lie{"size", 0, Head::make(~0u, Kind::reply, ring::flag::your_id).word},
                                           Lie{"flags", 0, Head::make(17, Kind::reply, 0).word},
                                           Lie{"a_kind_not_agreed", 0, Head::make(17, Kind::ping).word},
                                           Lie{"a_request", 0, Head::make(64, Kind::request).word},
                                           Lie{"a_call_nobody_made", 8, 1}, Lie{"no_call", 8, 0}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(OnlyWaitsTest, ARecordThatMayBeSkippedCostsNothing) {
  // Of a newer peer, say. The answer that it replaces never comes, and its grant is used up: one of many.
  pair.service.on[kSmall] = [this](std::string_view request, RawReply reply) {
    answer(reply, request);
    const Head skipped{Head::make(64, Kind::none).word | std::uint64_t{ring::kKindMayBeSkipped} << 32};
    if (request == "unheard")
      std::memcpy(pair.memory().lane(1, Lane::normal).out_ring, &skipped.word, sizeof skipped.word);
  };
  send_without_callback(kSmall);
  expect_waits_answered(kMany);
  EXPECT_EQ(pair.client_counters().answers_received.value(), unsigned{kMany});
  EXPECT_EQ(pair.client_counters().violations.value(), 0u);
}

}  // namespace
}  // namespace taut::rpc::testing
