// Coroutines that await calls and items, on every transport: each goes on once, whatever ends what it waits for, and
// one that is destroyed in the middle costs nobody else a call.
#include "support/seed.h"
#include "taut/stubs/await.h"
#include "taut/stubs/await_stream.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

struct Tally {
  std::uint64_t begun = 0, answered = 0, failed = 0, wrong = 0;
  std::vector<Status> ends;
};

Task place_some(desk::Orders::Client* orders, std::uint64_t first, std::uint64_t count, Tally* tally) {
  for (std::uint64_t id = first; id != first + count; ++id) {
    ++tally->begun;
    const auto ack = co_await orders->Place(order(id));
    if (!ack) {
      ++tally->failed;
      tally->ends.push_back(ack.status());
      continue;
    }
    ++tally->answered;
    tally->wrong += ack->id() != id ? 1 : 0;
  }
}
Task place_and_stay(desk::Orders::Client* orders, std::uint64_t id, Tally* tally) {
  ++tally->begun;
  const auto ack = co_await orders->Place(order(id, hold));
  ack ? ++tally->answered : ++tally->failed;
}

TEST_P(Transport, coroutines_go_on_with_their_own_answers) {
  Tally tally;
  for (std::uint64_t task = 0; task != 20; ++task) place_some(&*orders, task * 100 + 1, 100, &tally);
  poll_until([&] { return tally.answered == 2000; });
  EXPECT_EQ(tally.wrong + tally.failed, 0u);
  EXPECT_EQ(world->journal.entries(), 2000u);
}

// Which of them are destroyed, and when, is drawn by lot.
TEST_P(Transport, coroutines_that_are_destroyed_in_mid_call_cost_no_other) {
  Random dice(3);
  Tally lost, kept;
  std::uint64_t id = 0;
  for (int round = 0; round != 100; ++round) {
    Tasks tasks;
    for (std::uint64_t i = dice.below(10); i-- != 0;) tasks.hold(place_some(&*orders, ++id, 1, &lost));
    const std::uint64_t before = kept.answered;
    place_some(&*orders, ++id, 1, &kept);
    for (std::uint64_t i = dice.below(4); i-- != 0;) world->client().poll();
    tasks.clear();
    poll_until([&] { return kept.answered + kept.failed == before + 1; });
  }
  EXPECT_EQ(kept.answered, 100u);
  EXPECT_EQ(kept.wrong + lost.wrong + lost.failed, 0u);
  EXPECT_LE(lost.answered, lost.begun);
  EXPECT_EQ(world->journal.run_twice(), 0u);
  EXPECT_TRUE(placed(id + 1, answer).ok());
}

TEST_P(Transport, coroutines_go_on_when_their_server_dies) {
  Tally tally;
  for (std::uint64_t id = 1; id <= 10; ++id) place_and_stay(&*orders, id, &tally);
  poll_until([&] { return world->journal.entered(10); });
  world->lose_server();
  poll_until([&] { return tally.failed + tally.answered == 10; });
  EXPECT_EQ(tally.failed, 10u);
}

Task watch(kinds::Kinds::Client* calls, std::uint64_t count, Followed* items, std::optional<Status>* end) {
  auto feed = calls->Watch({.stream = items->stream, .first = 1, .count = count}, {.credit = 16});
  if (!feed.pull()) co_return;
  while (const kinds::Item* const item = co_await taut::next(feed)) items->take(*item);
  *end = feed.status();
}
Task load(kinds::Kinds::Client* calls, std::uint32_t stream, std::uint64_t count, std::optional<std::uint64_t>* total) {
  auto upload = calls->Load();
  upload.then([total](const Answer<kinds::Total>& answer) { *total = answer ? answer->count() : 0; });
  for (std::uint64_t number = 1; number <= count;) {
    if (upload.send(item(stream, number))) {
      ++number;
    } else if (!co_await taut::ready(upload)) {
      co_return;
    }
  }
  upload.close();
}

TEST_P(Transport, coroutines_take_and_give_the_items_of_streams) {
  constexpr std::uint64_t kCount = 5000;
  Followed items{.stream = 6};
  std::optional<Status> end;
  std::optional<std::uint64_t> total;
  watch(&*calls, kCount, &items, &end);
  load(&*calls, 7, kCount, &total);
  poll_until([&] { return end && total; });
  EXPECT_TRUE(end->ok()) << *end;
  EXPECT_EQ(items.count, kCount);
  EXPECT_EQ(items.wrong, 0u);
  EXPECT_EQ(*total, kCount);
}

}  // namespace
}  // namespace taut::testing
