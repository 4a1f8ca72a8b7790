// Requests that are worked on together.
#include "taut/stubs/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "greeter.taut.h"
#include "orders.taut.h"
#include "taut/testing.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Orders = Batch<desk::Order, desk::Ack>;
using Entry = Orders::Entry;

struct Desk final : desk::Orders::Service {
  void Place(const desk::Order& order, Reply<desk::Ack> reply) override { batch->add(order, std::move(reply)); }
  std::optional<Orders> batch;
};

struct BatchTest : ::testing::Test {
  // Of an order, and how often it ended.
  struct Outcome {
    int ends = 0;
    Status status;
    std::uint64_t desk_id = 0;
  };
  Outcome& place(std::uint64_t id, CallOptions how = {}) {
    Outcome& outcome = outcomes.emplace_back();
    orders.Place({.id = id, .quantity = 1}, how).then([&outcome](const Answer<desk::Ack>& ack) {
      ++outcome.ends;
      outcome.status = ack.status();
      if (ack) outcome.desk_id = ack->desk_id();
    });
    return outcome;
  }
  // Answers each with 1000 more than its number, and remembers how many there were.
  void match(std::span<Entry> entries) {
    sizes.push_back(entries.size());
    for (Entry& entry : entries) entry.reply.send({.id = entry->id(), .desk_id = (*entry).id() + 1000});
  }
  void each_turn(BatchOptions options = {}) {
    desk.batch.emplace(
        wire.server(), [this](std::span<Entry> entries) { match(entries); }, options);
  }

  std::deque<Outcome> outcomes;
  std::vector<std::size_t> sizes;
  Desk desk;
  Wire wire;
  Link link = wire.connect(desk);
  desk::Orders::Client orders{link};
};

TEST_F(BatchTest, all_requests_of_a_turn_come_together) {
  each_turn();
  for (std::uint64_t id = 1; id <= 10; ++id) place(id);
  wire.settle();
  EXPECT_THAT(sizes, ElementsAre(10u));
  for (std::uint64_t id = 1; id <= 10; ++id) EXPECT_EQ(outcomes[id - 1].desk_id, id + 1000);
  place(11);
  wire.settle();
  EXPECT_THAT(sizes, ElementsAre(10u, 1u));
  EXPECT_EQ(desk.batch->counters().added, 11u);
  EXPECT_EQ(desk.batch->counters().runs, 2u);
}

TEST_F(BatchTest, a_turn_that_brings_more_than_there_is_room_for_has_several) {
  each_turn({.requests_max = 4});
  for (std::uint64_t id = 1; id <= 10; ++id) place(id);
  wire.settle();
  EXPECT_THAT(sizes, ElementsAre(4u, 4u, 2u));
  for (std::uint64_t id = 1; id <= 10; ++id) EXPECT_EQ(outcomes[id - 1].desk_id, id + 1000);
}

TEST_F(BatchTest, without_a_dispatcher_requests_wait_for_run) {
  desk.batch.emplace();
  for (std::uint64_t id = 1; id <= 3; ++id) place(id);
  wire.settle();
  EXPECT_EQ(desk.batch->size(), 3u);
  EXPECT_EQ(outcomes[0].ends, 0);
  std::vector<std::uint64_t> ids;
  const auto f = [&](std::span<Entry> entries) {
    for (const Entry& entry : entries) ids.push_back(entry->id());
    match(entries);
  };
  desk.batch->run(f);
  desk.batch->run(f);
  wire.settle();
  EXPECT_THAT(ids, ElementsAre(1u, 2u, 3u));
  EXPECT_THAT(sizes, ElementsAre(3u)) << "not for nothing";
  EXPECT_EQ(outcomes[2].desk_id, 1003u);
}

TEST_F(BatchTest, a_full_one_refuses_before_the_work) {
  for (const BatchOptions options : {BatchOptions{.requests_max = 2}, BatchOptions{.bytes_max = 2 * 64}}) {
    outcomes.clear();
    desk.batch.emplace(options);
    for (std::uint64_t id = 1; id <= 3; ++id) place(id);
    wire.settle();
    EXPECT_EQ(outcomes[2].ends, 1);
    EXPECT_EQ(outcomes[2].status.code(), Code::resource_exhausted);
    EXPECT_TRUE(outcomes[2].status.safe_to_retry());
    EXPECT_EQ(desk.batch->counters().refused, 1u);
    desk.batch->run([&](std::span<Entry> entries) { match(entries); });
    place(4);
    wire.settle();
    desk.batch->run([&](std::span<Entry> entries) { match(entries); });
    wire.settle();
    EXPECT_EQ(outcomes[3].desk_id, 1004u) << "there is room again";
  }
}

TEST_F(BatchTest, a_request_whose_deadline_passed_is_not_handed_over) {
  desk.batch.emplace();
  place(1, {.timeout = 1ms});
  place(2, {.timeout = 1s});
  wire.advance(2ms);
  desk.batch->run([&](std::span<Entry> entries) {
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0]->id(), 2u);
    match(entries);
  });
  EXPECT_EQ(desk.batch->counters().expired, 1u);
  wire.settle();
  EXPECT_EQ(outcomes[0].status.code(), Code::deadline_exceeded);
  EXPECT_EQ(outcomes[0].ends, 1);
  EXPECT_EQ(outcomes[1].desk_id, 1002u);
}

TEST_F(BatchTest, a_reply_that_is_moved_away_is_answered_later_and_one_that_is_left_is_aborted) {
  desk.batch.emplace();
  place(1);
  place(2);
  wire.settle();
  Reply<desk::Ack> kept;
  desk.batch->run([&](std::span<Entry> entries) { kept = std::move(entries[0].reply); });
  wire.settle();
  EXPECT_EQ(outcomes[0].ends, 0);
  EXPECT_EQ(outcomes[1].status.code(), Code::aborted);
  kept.send({.id = 1, .desk_id = 5});
  wire.settle();
  EXPECT_EQ(outcomes[0].desk_id, 5u);
}

TEST_F(BatchTest, nothing_is_added_while_it_runs) {
  desk.batch.emplace();
  place(1);
  wire.settle();
  desk.batch->run([&](std::span<Entry> entries) {
    EXPECT_FALSE(desk.batch->add(*entries[0], std::move(entries[0].reply)));
    desk.batch->run([](std::span<Entry>) { FAIL() << "not inside"; });
  });
  wire.settle();
  EXPECT_EQ(outcomes[0].status.code(), Code::resource_exhausted);
}

TEST_F(BatchTest, what_its_function_throws_ends_its_calls_and_no_other) {
  bool throws = true;
  desk.batch.emplace(wire.server(), [&](std::span<Entry> entries) {
    if (std::exchange(throws, false)) throw std::runtime_error("of the test");
    match(entries);
  });
  place(1);
  wire.settle();
  EXPECT_EQ(outcomes[0].status.code(), Code::internal);
  EXPECT_EQ(outcomes[0].status.why(), Why::handler_threw);
  place(2);
  wire.settle();
  EXPECT_EQ(outcomes[1].desk_id, 1002u);
  EXPECT_THAT(wire.log(), ::testing::Contains(HasSubstr("of the test")));
}

TEST_F(BatchTest, strings_are_copied_with_their_request) {
  struct Hello final : greeter::Greeter::Service {
    void SayHello(const greeter::HelloRequest& request, Reply<greeter::HelloReply> reply) override {
      batch.add(request, std::move(reply));
    }
    Batch<greeter::HelloRequest, greeter::HelloReply> batch;
  } hello;
  Wire wire;
  Link link = wire.connect(hello);
  greeter::Greeter::Client greeter{link};
  std::vector<std::string> seen;
  for (const char* name : {"Ada", "somebody with a name that no string keeps inside", "Eve"})
    greeter.SayHello({.name = name}).then([&](const Answer<greeter::HelloReply>& reply) {
      ASSERT_TRUE(reply) << reply.status();
      seen.push_back(reply->text()->str());
    });
  wire.settle();
  hello.batch.run([](auto entries) {
    for (auto& entry : entries) entry.reply.send({.text = entry->name()->str()});
  });
  wire.settle();
  EXPECT_THAT(seen, ElementsAre("Ada", "somebody with a name that no string keeps inside", "Eve"));
}

}  // namespace
}  // namespace taut::testing
