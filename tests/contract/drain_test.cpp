// A server that goes without loss, on every transport: it names the last call that it runs, answers what it has taken,
// and whoever calls again reaches its successor.
#include "support/expect_status.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

TEST_P(Transport, a_server_that_drains_names_the_last_call_that_it_runs) {
  listen();
  listener.holds = true;
  place(1, ask_back);  // taken, and answered only when this side has answered
  poll_until([&] { return !listener.held.empty(); });
  place(2, drain);
  for (std::uint64_t id = 3; id <= 12; ++id) place(id);
  poll_until([&] { return ends.size() == 11; });
  EXPECT_EQ(answered, std::vector<std::uint64_t>{2}) << "the call whose handler drains is the last one";
  for (const Status& end : ends) {
    if (!end.ok()) EXPECT_STATUS(end, unavailable, no, draining, "");
  }
  EXPECT_EQ(world->journal.entries(), 2u);
  listener.held.front().send({.id = 1});
  poll_until([&] { return ends.size() == 12; });
  EXPECT_EQ(answered, (std::vector<std::uint64_t>{2, 1})) << "what it had taken, it answers";
  world->start_server();
  poll_until([&] { return link->up(); });
  EXPECT_TRUE(placed(13, answer).ok());
}

TEST_P(Transport, streams_go_on_while_their_server_drains) {
  auto upload = calls->Load();
  EXPECT_TRUE(upload.send(item(5, 1)));
  std::optional<std::uint64_t> total;
  upload.then([&](const Answer<kinds::Total>& answer) { total = answer ? answer->count() : 0; });
  EXPECT_TRUE(placed(1, drain).ok()) << "behind which the server has begun with the upload";
  for (std::uint64_t number = 2; number <= 500;) {
    if (upload.send(item(5, number))) {
      ++number;
    } else {
      ASSERT_FALSE(total) << "it was ended before it was whole";
      world->client().poll();
    }
  }
  upload.close();
  poll_until([&] { return total.has_value(); });
  EXPECT_EQ(*total, 500u);
  EXPECT_FALSE(link->up()) << "it looks for a successor meanwhile";
}

TEST_P(Transport, a_call_under_a_policy_goes_on_to_the_successor) {
  place(1, drain);
  poll_until([&] { return ends.size() == 1 && !link->up(); });
  Retry retry(*link, {.attempts = 1'000'000, .burst = 1'000'000});
  Status plain, again = Status(Code::unknown, Ran::no, Why::none);
  int times = 0;
  orders->Cancel({.id = 2}).then([&](const Answer<desk::Ack>& ack) { plain = ack.status(); });
  orders->Cancel({.id = 3}, retry).then([&](const Answer<desk::Ack>& ack) {
    ++times;
    again = ack.status();
  });
  poll_until([&] { return retry.counters().attempts != 0; });
  EXPECT_STATUS(plain, unavailable, no, not_connected, "");
  EXPECT_EQ(times, 0);
  world->start_server();
  poll_until([&] { return times != 0; });
  EXPECT_TRUE(again.ok()) << again;
  EXPECT_TRUE(link->up());
  EXPECT_FALSE(world->journal.entered(2));
  EXPECT_TRUE(world->journal.entered(3));
  EXPECT_EQ(world->journal.entries(), 2u);
}

}  // namespace
}  // namespace taut::testing
