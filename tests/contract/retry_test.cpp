// Calls that are made again or at two places, on every transport: they end once, whatever becomes of their attempts,
// and nothing runs a second time that did not ask for it.
#include <deque>

#include "support/expect_status.h"
#include "support/seed.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

// As many as it takes, however slow the machine.
constexpr RetryOptions kPatient{.attempts = 1'000'000, .burst = 1'000'000};

TEST_P(Transport, a_retried_call_that_was_late_runs_again_and_ends_once) {
  Retry retry(*link, {.attempts = 1'000'000, .attempt_timeout = 20ms, .burst = 1'000'000});
  OneCall call(comes_late + 1);
  call.follow(orders->Cancel({.id = call.id}, retry));
  poll_until([&] { return call.ends != 0; });
  EXPECT_TRUE(call.status.ok()) << call.status;
  EXPECT_EQ(retry.counters().saved, 1u);
  EXPECT_GE(world->journal.run_twice(), 1u);
  world->client().poll();
  world->let_server_work(
      [&] { return world->journal.entered(told(call.id)); });  // the late one was told, and answers nobody
  EXPECT_TRUE(placed(1, answer).ok());
  world->client().poll();
  EXPECT_EQ(call.ends, 1);
}

TEST_P(Transport, a_retried_call_outlives_the_server_that_it_killed) {
  Retry retry(*link, kPatient);
  OneCall call(dies + 1), plain(dies + 2);
  call.follow(orders->Cancel({.id = call.id}, retry));
  poll_until([&] { return !link->up(); });
  EXPECT_EQ(call.ends, 0);
  world->start_server();
  poll_until([&] { return call.ends != 0; });
  EXPECT_TRUE(call.status.ok()) << call.status;
  plain.follow(orders->Cancel({.id = plain.id}));
  poll_until([&] { return plain.ends != 0; });
  EXPECT_STATUS(plain.status, unavailable, maybe, peer_died, "");
  world->start_server();
  poll_until([&] { return link->up(); });
  const auto waited = orders->Cancel({.id = 7}, retry, taut::wait);
  EXPECT_TRUE(waited) << waited.status();
  EXPECT_EQ(call.ends + plain.ends, 2);
}

TEST_P(Transport, a_retried_call_waits_for_a_grant) {
  echo::Echo::Client echo(*link);
  Retry retry(*link, kPatient);
  for (std::uint64_t id = 1; id <= 64; ++id) place(id, hold);
  poll_until([&] { return world->journal.entered(64); });
  Status status = Status(Code::unknown, Ran::no, Why::none);
  const std::uint8_t bytes[] = {1, 2, 3};
  echo.Echo({.data = bytes}, retry).then([&](const Answer<echo::Bytes>& answer) { status = answer.status(); });
  poll_until([&] { return retry.counters().attempts != 0; });
  EXPECT_EQ(status.code(), Code::unknown) << "it has not ended";
  EXPECT_TRUE(orders->Cancel({.id = lets_go}, taut::wait));
  poll_until([&] { return status.code() != Code::unknown && ends.size() == 64; });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(answered.size(), 64u);
}

TEST_P(Transport, a_hedged_call_takes_the_answer_that_comes_first_and_tells_the_loser) {
  Link other = connect();
  Hedge hedge(*link, other, {.after = 1ms});
  OneCall call(comes_late + 1);
  call.follow(orders->Cancel({.id = call.id}, hedge));
  poll_until([&] { return call.ends != 0; });
  EXPECT_TRUE(call.status.ok()) << call.status;
  EXPECT_EQ(hedge.counters().hedges, 1u);  // a busy server may read the second one first
  EXPECT_EQ(hedge.counters().cancelled, 1u);
  world->client().poll();
  world->let_server_work([&] { return world->journal.entered(told(call.id)); });
  EXPECT_TRUE(placed(1, answer).ok());
  EXPECT_TRUE(desk::Orders::Client(other).Place(order(2), taut::wait));
  world->client().poll();
  EXPECT_EQ(call.ends, 1);
}

TEST_P(Transport, a_hedged_call_goes_to_its_second_link_at_once_when_the_first_has_no_grant) {
  Link other = connect();
  Hedge hedge(*link, other, {.after = 60s});
  for (std::uint64_t id = 1; id <= 64; ++id) place(id, hold);
  poll_until([&] { return world->journal.entered(64); });
  echo::Echo::Client echo(*link);
  std::optional<std::size_t> came;
  const std::uint8_t bytes[] = {1, 2, 3};
  echo.Echo({.data = bytes}, hedge).then([&](const Answer<echo::Bytes>& answer) {
    came = answer ? answer->data()->size() : 0;
  });
  poll_until([&] { return came.has_value(); });
  EXPECT_EQ(*came, sizeof bytes);
  EXPECT_EQ(hedge.counters().won, 1u);
  EXPECT_TRUE(orders->Cancel({.id = lets_go}, taut::wait));
  poll_until([&] { return ends.size() == 64; });
  EXPECT_EQ(answered.size(), 64u);
}

// Answered at once, late or by nobody, cancelled, on one link or two, plain or under a policy: by lot.
TEST_P(Transport, every_call_ends_once_whatever_happens_to_its_attempts) {
  Random dice(1);
  Link other = connect();
  Retry retry(*link, {.attempts = 1'000'000, .attempt_timeout = 20ms, .burst = 1'000'000});
  Hedge hedge(*link, other, {.after = 1ms, .burst = 1'000'000});
  std::deque<OneCall> calls;
  int deaths = 0;
  std::uint64_t open = 0;
  const auto count_open = [&] {
    open = 0;
    for (const OneCall& call : calls) open += call.ends == 0 ? 1 : 0;
    if (!link->up() && deaths != 0) {
      world->start_server();
      deaths = 0;
      poll_until([&] { return link->up() && other.up(); });
    }
  };
  constexpr std::uint64_t kCalls = 400;
  for (std::uint64_t made = 1; made <= kCalls; ++made) {
    const bool kills = made % 150 == 0;
    deaths += kills ? 1 : 0;
    const std::uint64_t policy = kills ? 0 : dice.below(3);
    OneCall& call = calls.emplace_back(kills ? dies + made : dice.one_in(20) ? comes_late + made : made);
    switch (policy) {
      case 0:
        call.follow(orders->Cancel({.id = call.id}, retry));
        break;
      case 1:
        call.follow(orders->Cancel({.id = call.id}, hedge, {.timeout = 10s}));
        break;
      default:
        call.follow(orders->Cancel({.id = call.id}, {.timeout = 50ms}));
    }
    const bool cancels = !kills && dice.one_in(8);
    if (cancels) call.ref.cancel();
    do {
      world->client().poll();
      count_open();
    } while (open > 4 || (kills && call.ends == 0));
  }
  poll_until([&] { return count_open(), open == 0; });
  EXPECT_TRUE(placed(1'000, answer).ok());
  world->client().poll();
  for (const OneCall& call : calls) EXPECT_EQ(call.ends, 1) << call.id;
  EXPECT_LE(world->journal.run_twice(), retry.counters().attempts + hedge.counters().hedges);
}

}  // namespace
}  // namespace taut::testing
