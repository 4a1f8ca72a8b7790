// Calls that are given up: by their callers, in time and too late, by the thousand.
#include "pair.h"

namespace taut::rpc::testing {
namespace {

class CancelTest : public ::testing::Test {
 protected:
  // A call to `method` and the name that it is cancelled by.
  CallRef call(Method method, Outcome& outcome, CallOptions options = {}) {
    PendingCall pending = send_call(pair.client().filled(method, "x"), 1, options);
    pending.then([&outcome](const RawAnswer& answer) {
      ++outcome.ends;
      outcome.status = answer.status;
    });
    return pending.ref();
  }
  Outcome outcome;
  std::deque<Outcome> outcomes;
  Held held;
  Pair pair;
};

TEST_F(CancelTest, ends_the_call_in_the_next_turn_and_tells_the_handler) {
  pair.service.on[kEcho] = held.handler();
  CallRef ref = call(kEcho, outcome);
  pair.settle();
  int told = 0;
  held.replies[0].on_cancel([&] { ++told; });
  EXPECT_FALSE(held.replies[0].cancelled());
  ref.cancel();
  EXPECT_FALSE(ref);
  EXPECT_EQ(outcome.ends, 0);
  pair.settle();
  EXPECT_ENDED(outcome, Code::cancelled, Ran::maybe, Why::cancelled);
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(held.replies[0].cancelled());
  answer(held.replies[0], "late");
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(CancelTest, that_overtakes_its_call_keeps_it_from_running) {
  CallRef ref = call(kEcho, outcome);
  ref.cancel();
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_EQ(outcome.status.code(), Code::cancelled);
  EXPECT_EQ(pair.service.received[kEcho], 0);
  Outcome next;
  call(kSmall, next);
  pair.settle();
  EXPECT_TRUE(next.status.ok()) << next.status;
}

TEST_F(CancelTest, of_a_finished_call_changes_nothing) {
  CallRef ref = call(kEcho, outcome);
  pair.settle();
  EXPECT_TRUE(outcome.status.ok());
  ref.cancel();
  ref.cancel();
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
}

TEST_F(CancelTest, forget_runs_no_callback) {
  pair.service.on[kEcho] = held.handler();
  CallRef ref = call(kEcho, outcome);
  pair.settle();
  ref.forget();
  pair.settle();
  EXPECT_TRUE(held.replies[0].cancelled());
  answer(held.replies[0], "late");
  pair.settle();
  EXPECT_EQ(outcome.ends, 0);
}

TEST_F(CancelTest, is_told_when_there_is_room_again) {
  pair.service.on[kEcho] = held.handler();
  CallRef ref = call(kEcho, outcome);
  pair.settle();
  fill_rings(pair.client().link().state());
  ref.cancel();
  pair.settle();
  EXPECT_EQ(outcome.ends, 1);
  EXPECT_TRUE(held.replies[0].cancelled());
}

TEST_F(CancelTest, cancelled_work_keeps_its_grant_until_it_is_answered) {
  pair.service.on[kSmall] = held.handler();
  std::vector<CallRef> refs;
  for (int i = 0; i != 64; ++i) refs.push_back(call(kSmall, outcomes.emplace_back()));
  pair.settle();
  for (CallRef& ref : refs) ref.cancel();
  pair.settle();
  EXPECT_EQ(call(kSmall, outcome).operator bool(), false);
  pair.settle();
  EXPECT_ENDED(outcome, Code::resource_exhausted, Ran::no, Why::calls_in_flight);
  held.replies.clear();
  pair.settle();
  Outcome later;
  EXPECT_TRUE(call(kUrgent, later));
  pair.settle();
  EXPECT_TRUE(later.status.ok()) << later.status;
}

TEST_F(CancelTest, a_flood_of_them_loses_no_other_call) {
  Outcome other;
  int cancelled = 0, others = 0;
  for (int i = 0; i != 1'000'000; ++i) {
    Outcome& one = outcomes.emplace_back();
    call(kEcho, one).cancel();
    if (i % 16 == 0) {
      call(kSmall, other);
      pair.settle();
      others += other.status.ok() ? 1 : 0;
      ASSERT_TRUE(other.status.ok()) << other.status;
      for (const Outcome& ended : outcomes) cancelled += ended.ends;
      outcomes.clear();
    }
  }
  pair.settle();
  for (const Outcome& ended : outcomes) cancelled += ended.ends;
  EXPECT_EQ(cancelled, 1'000'000);
  EXPECT_EQ(others, 62'500);
}

TEST_F(CancelTest, a_call_that_times_out_is_cancelled_at_the_server) {
  pair.service.on[kEcho] = held.handler();
  call(kEcho, outcome, {.timeout = 1ms});
  pair.settle();
  int told = 0;
  held.replies[0].on_cancel([&] { ++told; });
  pair.pass(2ms);
  pair.settle();
  EXPECT_EQ(outcome.status.code(), Code::deadline_exceeded);
  EXPECT_EQ(told, 1);
}

TEST_F(CancelTest, a_refused_call_has_no_name_and_says_at_once_why) {
  pair.destroy_server();
  pair.settle_links();
  PendingCall pending = send_call(pair.client().filled(kEcho, "x"), 1, {});
  EXPECT_TRUE(pending.refused());
  EXPECT_FALSE(pending.ref());
  EXPECT_EQ(pending.take_refusal().why(), Why::not_connected);
  pair.settle();
}

}  // namespace
}  // namespace taut::rpc::testing
