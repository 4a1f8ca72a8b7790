// Calls that are given up, on every transport: at once, behind their end, and by the thousand. What others asked for is
// answered all the same.
#include <cstdlib>
#include <deque>

#include "support/expect_status.h"
#include "support/seed.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

// A million in the long run of tests/contract.
std::uint64_t flood_count() {
  const char* const wanted = std::getenv("TAUT_CANCELS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20'000;
}

TEST_P(Transport, a_cancel_ends_its_call_and_its_handler_hears_of_it) {
  OneCall call(comes_late + 1);
  call.follow(orders->Cancel({.id = call.id}));
  poll_until([&] { return world->journal.entered(call.id); });
  call.ref.cancel();
  EXPECT_EQ(call.ends, 0) << "callbacks run in turns";
  poll_until([&] { return call.ends != 0; });
  EXPECT_STATUS(call.status, cancelled, maybe, cancelled, "");
  world->let_server_work([&] { return world->journal.entered(told(call.id)); });
  EXPECT_TRUE(placed(2, answer).ok());
  world->client().poll();
  EXPECT_EQ(call.ends, 1) << "its answer comes late";
}

TEST_P(Transport, a_cancel_of_a_finished_call_touches_no_other_in_its_place) {
  std::deque<OneCall> finished, held;
  for (std::uint64_t id = 1; id <= 64; ++id) {
    finished.emplace_back(id).follow(orders->Place(order(id)));
  }
  poll_until([&] { return finished.back().ends != 0; });
  for (std::uint64_t id = 101; id <= 164; ++id) {  // in the very same rows
    held.emplace_back(id).follow(orders->Place(order(id, hold)));
  }
  for (int i = 0; i != 3; ++i) {
    for (OneCall& call : finished) CallRef(call.ref).cancel();
    world->client().poll();
  }
  poll_until([&] { return world->journal.entered(164); });  // urgent calls overtake
  EXPECT_TRUE(orders->Cancel({.id = lets_go}, taut::wait));
  poll_until([&] { return held.back().ends != 0; });
  for (const OneCall& call : finished) EXPECT_TRUE(call.ends == 1 && call.status.ok()) << call.id << call.status;
  for (const OneCall& call : held) EXPECT_TRUE(call.ends == 1 && call.status.ok()) << call.id << call.status;
}

// Which calls are given up, and when, is drawn by lot: before they leave, a turn later, or when they have long ended.
TEST_P(Transport, a_flood_of_cancels_loses_no_other_call) {
  const std::uint64_t count = flood_count();
  constexpr int kBurst = 48;  // fewer than the grants
  Random dice(2);
  std::deque<OneCall> calls;
  std::vector<CallRef> finished;
  std::uint64_t id = 0, cancels = 0, ran = 0, given_up = 0;
  while (cancels < count) {
    std::vector<OneCall*> soon;
    for (int i = 1; i <= kBurst; ++i) {
      OneCall& call = calls.emplace_back(++id);
      call.follow(orders->Place(order(id)));
      ASSERT_TRUE(call.ref) << "it was refused";
      const std::uint64_t when = i == kBurst ? 3 : dice.below(4);  // the last one waits for all before it
      if (when == 0) call.ref.cancel();
      if (when == 1) soon.push_back(&call);
      if (when == 2) finished.push_back(call.ref);
      cancels += when < 3 ? 1 : 0;
    }
    world->client().poll();
    for (OneCall* const call : soon) call->ref.cancel();
    for (CallRef& ref : finished) ref.cancel();  // under way, or of the burst before
    finished.clear();
    for (const OneCall& call : calls) {
      if (call.ends == 1 && dice.one_in(2)) finished.push_back(call.ref);
    }
    poll_until([&] { return calls.back().ends != 0; });
    for (const OneCall& call : calls) {
      ASSERT_EQ(call.ends, 1) << call.id;
      if (call.status.ok()) {
        ++ran;
      } else {
        ASSERT_EQ(call.status.code(), Code::cancelled) << call.status;
        ++given_up;
      }
    }
    ASSERT_TRUE(calls.back().status.ok()) << calls.back().status;
    calls.clear();
  }
  EXPECT_TRUE(placed(id + 1, answer).ok());
  EXPECT_GT(given_up, count / 8);
  EXPECT_GE(world->journal.entries(), ran + 1);
  EXPECT_EQ(world->journal.run_twice(), 0u);
  EXPECT_TRUE(link->up());
}

}  // namespace
}  // namespace taut::testing
