// Calls that go wrong, on every transport: those that may not leave, and those whose handlers answer twice, never,
// elsewhere, or by an exception. Each has a status, and costs nobody else a call.
#include "support/expect_status.h"
#include "taut/testing/contract.h"

namespace taut::testing {
namespace {

using namespace std::chrono_literals;

TEST_P(Transport, calls_that_are_refused_before_they_are_sent_cost_no_other) {
  std::vector<Status> refused;
  const auto keep = [&](const Answer<desk::Ack>& ack) { refused.push_back(ack.status()); };
  Metadata too_much;
  EXPECT_FALSE(too_much.add("key", std::string(1100, 'v')));
  for (std::uint64_t id = 1; id <= 20; ++id) {
    place(id);
    if (id == 5) orders->Place(order(105), {.timeout = -1ns}).then(keep);
    if (id == 15) orders->Place(order(115), {.metadata = too_much}).then(keep);
  }
  poll_until([&] { return ends.size() == 20 && refused.size() == 2; });
  EXPECT_STATUS(refused[0], deadline_exceeded, no, deadline_passed, "");
  EXPECT_STATUS(refused[1], invalid_argument, no, bad_metadata, "1 KiB");
  EXPECT_EQ(answered.size(), 20u);
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
  EXPECT_EQ(world->journal.entries(), 20u);
}

TEST_P(Transport, a_call_that_is_answered_twice_ends_once_and_with_the_first) {
  EXPECT_TRUE(among_others(answer_twice).ok());
}
TEST_P(Transport, a_call_that_is_answered_on_another_thread_is_aborted) {
  EXPECT_STATUS(among_others(answer_elsewhere), aborted, yes, wrong_thread, "thread");
}
TEST_P(Transport, a_call_that_is_answered_by_post_is_answered) { EXPECT_TRUE(among_others(answer_by_post).ok()); }
TEST_P(Transport, a_call_that_is_dropped_costs_no_other) {
  EXPECT_STATUS(among_others(drop), aborted, yes, reply_dropped, "");
}
TEST_P(Transport, a_call_whose_handler_throws_costs_no_other) {
  EXPECT_STATUS(among_others(throw_up), internal, yes, handler_threw, "threw");
}

TEST_P(Transport, a_call_that_is_never_answered_ends_at_its_deadline_and_costs_a_grant) {
  for (auto timeout = 5ms; !world->journal.entered(1); timeout *= 2) {  // until it does not expire on its way
    EXPECT_EQ(orders->Place(order(1, hold), taut::wait(timeout)).status().code(), Code::deadline_exceeded);
    EXPECT_TRUE(placed(1000, answer).ok()) << "behind which it has run, or never will";
  }
  for (std::uint64_t id = 2; id <= 65; ++id) place(id);
  poll_until([&] { return ends.size() == 64; });
  EXPECT_EQ(answered.size(), 63u) << "one of 64 grants is out until the server answers or goes";
  const auto refused = std::find_if(ends.begin(), ends.end(), [](const Status& end) { return !end.ok(); });
  ASSERT_NE(refused, ends.end());
  EXPECT_STATUS(*refused, resource_exhausted, no, calls_in_flight, "");
  EXPECT_TRUE(orders->Cancel({.id = lets_go}, taut::wait));
  EXPECT_TRUE(placed(66, answer).ok());
  ends.clear();
  for (std::uint64_t id = 101; id <= 164; ++id) place(id);
  poll_until([&] { return ends.size() == 64; });
  EXPECT_EQ(answered.size(), 63u + 64u) << "behind the late answer it is back";
}

TEST_P(Transport, a_wait_inside_a_handler_is_refused) {
  listen();
  EXPECT_STATUS(among_others(wait_inside), failed_precondition, yes, none, "inside_handler");
  EXPECT_TRUE(listener.taken.empty());
}

TEST_P(Transport, a_one_way_message_whose_handler_throws_costs_no_other) {
  std::uint64_t number = 0;
  for (int i = 0; i != 10; ++i) {
    EXPECT_TRUE(calls->Tell(item(0, ++number)));
    EXPECT_TRUE(calls->Tell(item(throw_up_at_once, 1)));
  }
  const auto told = calls->Ask({.stream = how_many_were_told}, taut::wait);
  ASSERT_TRUE(told) << told.status();
  EXPECT_EQ(told->number(), 10u);
  EXPECT_EQ(told->sum(), 0u);
}

TEST_P(Transport, a_function_that_throws_over_an_item_ends_its_own_stream) {
  auto talk = calls->Talk(), other = calls->Talk();
  std::vector<std::uint64_t> back;
  std::optional<Status> ended, other_ended;
  talk.each([](const kinds::Line&) {});
  talk.then([&](const Status& status) { ended = status; });
  other.each([&](const kinds::Line& line) { back.push_back(line.number()); });
  other.then([&](const Status& status) { other_ended = status; });
  EXPECT_TRUE(other.send({.number = 1, .text = "one"}));
  EXPECT_TRUE(talk.send({.number = 1, .text = "throw"}));
  EXPECT_TRUE(other.send({.number = 2, .text = "two"}));
  poll_until([&] { return ended.has_value(); });
  EXPECT_EQ(ended->code(), Code::internal) << *ended;
  EXPECT_EQ(ended->why(), Why::handler_threw) << *ended;
  EXPECT_EQ(talk.send({.number = 2, .text = "late"}), Sent::over);
  EXPECT_TRUE(other.send({.number = 3, .text = "three"}));
  other.close();
  poll_until([&] { return other_ended.has_value(); });
  EXPECT_TRUE(other_ended->ok()) << *other_ended;
  EXPECT_EQ(back, (std::vector<std::uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace taut::testing
